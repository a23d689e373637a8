"""Measures the parts of `probe verify` in processes of their own, side by side where memory allows.

One process imports torch and forks a child for each chain of parts. It imports only: threads of OpenMP or CUDA do not
survive a fork. Each part is written as soon as it is measured, so that a part that crashes, hangs or is killed costs
no other part its measurement.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from atftctl.trainer.probes.answer import measure_or_error, write_answer
from atftctl.trainer.probes.bench import Bench
from atftctl.trainer.probes.verify_parts import Parts
from atftctl.trainer.runtime import card, children
from atftctl.trainer.runtime.memory import is_out_of_memory

POLL_S = 0.02
ROOM_MB = 512.0  # what a second chain may take beyond twice the memory that the first one has
CARD_SHARE = (
    0.9  # of the free memory of the graphics card, for all chains that run; the rest is for the trainer in service
)
LOG_BYTES = 64 << 10  # of the end of a part's log
# Chains of parts: a part needs what the one before it has loaded. The second chain starts when the dataset is there,
# since all chains use the arrays that the first one prepares; the last one measures time and runs alone.
FIRST, SECOND, LAST = ("dataset", "model", "quality"), ("training",), ("steps",)
PARTS = (*FIRST, *SECOND, *LAST)


@dataclass(frozen=True)
class Request:
    """What to measure, and the limits.

    `parts`: names; all for none. `steps`, `dates`, `checkpoint`: see `Bench`. `folder`: where the answers and logs of
    the parts go; None for the scratch folder. `limit_s`: for each part; 0 for none. `memory_mb`: for all chains
    together; 0 for no limit.
    """

    parts: Sequence[str] = ()
    steps: int = 60
    dates: int = 0
    folder: Path | None = None
    limit_s: float = 0.0
    memory_mb: int = 0
    checkpoint: str = "best"


@dataclass
class Chain:
    """Parts that one child measures, one after the other. `since`: monotonic time at which the present part began."""

    parts: tuple[str, ...]
    pid: int = 0
    since: float = 0.0
    done: set[str] = field(default_factory=set)
    overdue: bool = False


def measure_parts(bench: Bench, request: Request) -> dict[str, Any]:
    """Measure the parts of the request; return the answer of each, by its name.

    An answer holds the measurements and `seconds`, or `error`, or, for a part whose process ended, `crashed` (how it
    ended: `signal`, `exit` or `limit_s`) and `log`, the last lines that it wrote.
    """
    folder = request.folder or bench.scratch / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    run = SideBySide(bench, request, folder)
    run.measure(_chains(request.parts or PARTS))
    return {part: _read(folder, part) for part in PARTS if (folder / f"{part}.json").exists()}


def _chains(parts: Sequence[str]) -> list[Chain]:
    """Return the chains that measure these parts, with the parts that those need."""
    if unknown := [part for part in parts if part not in PARTS]:
        raise ValueError(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    last_of_first = [at for at, part in enumerate(FIRST) if part in parts]
    chains = [FIRST[: last_of_first[-1] + 1]] if last_of_first else []
    chains += [chain for chain in (SECOND, LAST) if set(chain) & set(parts)]
    return [Chain(chain) for chain in chains]


class SideBySide:
    """Runs chains, each in a child, and writes an answer for each part that was begun."""

    def __init__(self, bench: Bench, request: Request, folder: Path) -> None:
        self.bench, self.request, self.folder = bench, request, folder
        self.running: list[Chain] = []

    def measure(self, chains: Sequence[Chain]) -> None:
        """Run the chains to their ends. Whatever happens, no process is left."""
        children.die_with(os.getppid())
        _import_for_all()
        children.adopt_orphans()
        waiting = list(chains)
        try:
            while waiting or self.running:
                while waiting and self._may_start(waiting[0]):
                    self._start(waiting.pop(0))
                time.sleep(POLL_S)
                for chain in list(self.running):
                    self._look_after(chain)
        finally:
            for chain in self.running:
                children.kill_tree(chain.pid)
            children.kill_orphans(())

    def _may_start(self, chain: Chain) -> bool:
        if not self.running:
            return True
        if chain.parts == LAST or len(self.running) > 1:
            return False
        first = self.running[0]
        if first.parts[0] == FIRST[0] and FIRST[0] not in first.done:
            return False
        needed = 2 * children.anonymous_mb(first.pid) + ROOM_MB
        return not self.request.memory_mb or self.request.memory_mb / 2 >= needed

    def _start(self, chain: Chain) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        chain.since = time.monotonic()
        chain.pid = os.fork()
        if not chain.pid:
            _child(self.bench, chain.parts, self.folder, parent, self.request.memory_mb)
        self.running.append(chain)
        self._share_memory()

    def _share_memory(self) -> None:
        """Divide the memory among the chains that run. A limit is lowered, or raised again, while a chain runs."""
        for chain in self.running:
            try:
                children.limit_data(chain.pid, math.ceil(self.request.memory_mb / len(self.running)))
            except (OSError, ValueError):
                continue  # it has just ended

    def _look_after(self, chain: Chain) -> None:
        """Note which parts are done, end a part that takes too long, and a chain that has ended."""
        for part in chain.parts:
            if part not in chain.done and (self.folder / f"{part}.json").exists():
                chain.done.add(part)
                chain.since = time.monotonic()
        limit_s = self.request.limit_s
        if limit_s and not chain.overdue and time.monotonic() - chain.since > limit_s:
            chain.overdue = True
            children.kill_tree(chain.pid)
        if os.waitid(os.P_PID, chain.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        children.kill_tree(chain.pid)  # what is left of its process group, which has its number until it is reaped
        _, status = os.waitpid(chain.pid, 0)
        self.running.remove(chain)
        children.kill_orphans({other.pid for other in self.running})
        self._share_memory()
        self._complete(chain, os.waitstatus_to_exitcode(status))

    def _complete(self, chain: Chain, code: int) -> None:
        """Write the answers that the chain did not: of the part at which it ended, and of those after it."""
        missing = [part for part in chain.parts if not (self.folder / f"{part}.json").exists()]
        for part in missing[:1]:
            ended = {"limit_s": self.request.limit_s} if chain.overdue else _how_ended(code)
            write_answer({"crashed": ended, "log": last_lines(self.folder / f"{part}.log")}, self._file(part))
        for part in missing[1:]:
            write_answer({"error": f"the part before it, {missing[0]}, did not complete"}, self._file(part))

    def _file(self, part: str) -> Path:
        return self.folder / f"{part}.json"


def _import_for_all() -> None:
    """Import what each trainer would import by itself: torch's optimisers import the compiler, which takes 2 s."""
    with suppress(ImportError):
        import_module("torch._dynamo")


def _how_ended(code: int) -> dict[str, Any]:
    return {"signal": -code} if code < 0 else {"exit": code}


def _child(bench: Bench, parts: Sequence[str], folder: Path, parent: int, memory_mb: int) -> None:
    """Measure these parts in this process, a child that was just forked, and end it."""
    code = 1
    try:
        os.setsid()
        children.die_with(parent)
        children.be_killed_first()
        card.limit_memory(CARD_SHARE if parts == LAST else CARD_SHARE / 2)
        measuring = Parts(bench)
        for part in parts:
            _log_to(folder / f"{part}.log")
            begun = time.monotonic()
            answer = measure_or_error(lambda part=part: _measured(measuring, part, memory_mb))  # type: ignore[misc]
            write_answer(answer | {"seconds": time.monotonic() - begun}, folder / f"{part}.json")
        code = 0
    except BaseException:  # noqa: BLE001 - the traceback is the end of the part's log
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _measured(measuring: Parts, part: str, memory_mb: int) -> dict[str, Any]:
    try:
        return measuring.measure(part)
    except Exception as error:
        if not (memory_mb and is_out_of_memory(error)):
            raise
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise MemoryError(f"out of memory; all probes together may use {memory_mb} MB: {text}") from error


def _log_to(path: Path) -> None:
    """Write standard output and error, also of libraries, and tracebacks of fatal signals to this file."""
    import faulthandler

    sys.stdout.flush()
    sys.stderr.flush()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    faulthandler.enable(file=2)


def last_lines(path: Path, count: int = 12) -> list[str]:
    """Return the last lines of a log that are not empty; of a fatal signal, its name and where it came."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip()[:300] for line in text.splitlines() if line.strip()]
    fatal = next((at for at, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    return lines[-count:] if fatal is None else lines[max(0, fatal - 2) : fatal + count - 2]


def _read(folder: Path, part: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
    return answer
