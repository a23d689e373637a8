"""Rehearses a change: the planned settings train some steps in turns with the current ones, on the same dates.

Each side trains in a process of its own, as a trainer would, so that a memory limit holds for it alone. This process
imports no torch: it must be able to tell how a side ended that ran out of memory.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from atftctl.trainer.runtime import children

WARM_UP = 3  # steps whose time is not compared: thread pools, allocator, caches
FEWEST_TURNS = 10  # with fewer the times are not compared
ROUNDS_OF_DATES = 4  # the other side may take this many times as many dates a step
LOG_LINES, LOG_COLUMNS = 12, 300
MODULE = "atftctl.trainer.probes.rehearse_side"


@dataclass(frozen=True)
class Rehearsal:
    """What to rehearse.

    `planned`, `current`: config files. `resume`: the checkpoint that the planned settings start from (last, best or
    scratch); the current ones start from the last one. `models`: files to read in place of those of the project, by
    their path in it; None where the plan removes the file. `limit_s`: for all of it; 0 for none. `memory_limit_mb`: of
    the data segment of each side; 0 for none.
    """

    root: Path
    planned: Sequence[Path]
    current: Sequence[Path]
    steps: int
    resume: str
    models: Mapping[str, str | None]
    limit_s: float = 0.0
    memory_limit_mb: int = 0


def rehearse(request: Rehearsal, scratch: Path) -> dict[str, Any]:
    """Train `steps` steps with each side; return `planned` and `current`: what each side measured and how it ended.

    Each has `rows` (loss, loss_rel, grad_norm, seconds of each step), `exit_code` and `reason` as a trainer has, or
    `crashed` with `log`. `step_s_ratio` is [planned / current, and the bounds of its 90 % interval], where both
    trained. `same_batches`: did each step train on the same dates?
    """
    deadline = time.monotonic() + request.limit_s if request.limit_s else None
    planned = Side("planned", request, request.planned, request.resume, request.models, scratch, deadline)
    current = Side("current", request, request.current, "last", {}, scratch, deadline)
    try:
        planned.start()
        current.start()
        for side in (planned, current):
            side.begin()
        same = _take_turns(planned, current, request.steps)
        planned.finish()
        current.finish()
    finally:
        planned.end()
        current.end()
    ratio = _ratio(planned.seconds, current.seconds)
    return {
        "planned": planned.answer,
        "current": current.answer,
        "same_batches": same,
        "same_loss": planned.about.get("loss") == current.about.get("loss"),
        **({"step_s_ratio": ratio} if ratio else {}),
    }


def _take_turns(planned: Side, current: Side, steps: int) -> bool:
    """Train the steps; return whether both sides took the same dates. The current side's end ends nothing."""
    dates = list(planned.about.get("dates", ()))
    count = int(current.about.get("dates_per_step", 1))
    same = count == planned.about.get("dates_per_step")
    for number in range(steps):
        if planned.ended:
            break
        begin = number * count
        turns = [(planned, None), (current, dates[begin : begin + count])]
        for side, taken in reversed(turns) if number % 2 else turns:  # neither profits from always being the second
            side.step(taken, timed=number >= WARM_UP)
    return same and bool(current.rows) and all(row.get("same", True) for row in current.rows)


def _ratio(planned: list[float], current: list[float]) -> list[float]:
    """Return [ratio, lower, upper] of the step times; nothing with too few turns, or where memory is too short."""
    turns = min(len(planned), len(current))
    if turns < FEWEST_TURNS:
        return []
    with suppress(MemoryError, ImportError, OSError):
        from atftctl.trainer.probes.ratio import interval_of_medians

        return list(interval_of_medians(planned[:turns], current[:turns]))
    return []


class Side:
    """One of the two sides: its process, and what it has answered so far."""

    def __init__(
        self,
        name: str,
        request: Rehearsal,
        configs: Sequence[Path],
        resume: str,
        models: Mapping[str, str | None],
        scratch: Path,
        deadline: float | None,
    ) -> None:
        self._rehearsal, self._deadline = request, deadline
        self._log = scratch / f"{name}.log"
        self._request = {
            "root": str(request.root),
            "folder": str(scratch / name),
            "configs": [str(path) for path in configs],
            "resume": resume,
            "models": dict(models),
            "steps": request.steps,
            "dates_ahead": request.steps * (ROUNDS_OF_DATES if name == "planned" else 0),
            "whole": name == "planned",  # also evaluate and save, as a trainer does
        }
        self.about: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.seconds: list[float] = []
        self.answer: dict[str, Any] = {"rows": self.rows}
        self.ended = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, under the memory limit."""
        parent, limit_mb = os.getpid(), self._rehearsal.memory_limit_mb

        def prepare() -> None:
            children.die_with(parent)
            children.be_killed_first()
            children.limit_data(os.getpid(), limit_mb)

        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,  # an answer that waits in a buffer would not be seen by select
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - this process has no threads
            )
        self._send(self._request)

    def begin(self) -> None:
        """Wait until it has loaded data and checkpoint."""
        self.about = self._receive()
        self.answer.update({name: self.about[name] for name in ("source", "first_step") if name in self.about})

    def step(self, dates: Sequence[str] | None, *, timed: bool) -> None:
        """Train one step: on these dates, or on its own."""
        if self.ended:
            return
        self._send({"do": "step", "dates": dates})
        if row := self._receive():
            self.rows.append(row)
            if timed:
                self.seconds.append(float(row["seconds"]))

    def finish(self) -> None:
        """Let it say how much memory it took."""
        if not self.ended:
            self._send({"do": "finish"})
            self._receive()

    def end(self) -> None:
        """Kill its process, and what that started."""
        if self._process is None:
            return
        children.kill_tree(self._process.pid)
        self._process.wait()

    def _send(self, request: Mapping[str, Any]) -> None:
        with suppress(OSError):  # it has ended: the next answer says so
            pipe = self._pipe("stdin")
            pipe.write(json.dumps(request).encode() + b"\n")
            pipe.flush()

    def _receive(self) -> dict[str, Any]:
        """Return the next answer; nothing where the side has ended, which `answer` tells."""
        pipe = self._pipe("stdout")
        if self._deadline is not None:
            ready, _, _ = select.select([pipe], [], [], max(0.0, self._deadline - time.monotonic()))
            if not ready:
                return self._crashed({"limit_s": self._rehearsal.limit_s})
        try:
            answer: dict[str, Any] = json.loads(pipe.readline())
        except ValueError:
            return self._crashed(None)
        if "exit_code" in answer:
            self.ended = True
            self.answer.update(answer)
            return {}
        return answer

    def _crashed(self, ended: dict[str, Any] | None) -> dict[str, Any]:
        """It has ended without an answer, or gives none: note how."""
        assert self._process is not None
        self.ended = True
        if ended is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            code = self._process.returncode
            ended = {"limit_s": 1} if code is None else {"signal": -code} if code < 0 else {"exit": code}
        self.answer.update(crashed=ended, log=_last_lines(self._log))
        return {}

    def _pipe(self, name: str) -> IO[bytes]:
        pipe = getattr(self._process, name)
        assert pipe is not None
        return pipe  # type: ignore[no-any-return]


def _last_lines(path: Path) -> list[str]:
    """Return the last lines of a log that are not empty."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.rstrip()[:LOG_COLUMNS] for line in lines if line.strip()][-LOG_LINES:]
