"""Starting and stopping the trainer, with the record that outlives us."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from atftctl import protocol
from atftctl.domain.errors import NeedsPerson
from atftctl.domain.process import ProcessRecord
from atftctl.host import gpu, procs
from atftctl.host.errors import HostError, StillAliveError
from atftctl.host.files import make_dirs, remove, size_of, write_durably
from atftctl.host.layout import Layout

RELEASE_S = 15.0  # for memory of graphics cards, after the process that held it is gone


@dataclass(frozen=True)
class StartOrder:
    """All that a start needs, so that recovery can start the trainer with the runbook broken."""

    argv: tuple[str, ...]
    resume: str
    memory_limit_mb: int
    processes: int = 1

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> StartOrder:
        return cls(
            tuple(body["argv"]), str(body["resume"]), int(body["memory_limit_mb"]), int(body.get("processes", 1))
        )


def start(layout: Layout, order: StartOrder, *, digest: str, now: datetime) -> ProcessRecord:
    """Start the trainer in the project's folder. The record is written before and after: a crash in between loses
    nothing."""
    for name in (protocol.OUTPUT, protocol.BEST):
        make_dirs((layout.root / name).parent)
    record = ProcessRecord(
        run_id=f"{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(4)}",
        wanted="running",
        started_at=now.astimezone().isoformat(timespec="seconds"),
        digest=digest,
        resume=order.resume,
        events_from=size_of(layout.root / protocol.EVENTS),
        log_from=size_of(layout.root / protocol.LOG),
        metrics_from=size_of(layout.root / protocol.METRICS),
        host=procs.here()[0],
        namespace=procs.here()[1],
        processes=order.processes,
    )
    before = layout.process.read_bytes() if layout.process.exists() else None
    write_record(layout, record)
    try:
        child = procs.spawn(
            order.argv,
            cwd=layout.root,
            env=environment(layout, record.run_id),
            output=layout.root / protocol.OUTPUT,
            memory_limit_mb=order.memory_limit_mb,
        )
    except (HostError, OSError):
        _put_record_back(layout, before)  # nothing runs; what was known of the last run stays known
        raise
    who = procs.identify(child.pid)
    if who:
        record = dataclasses.replace(record, pid=who.pid, ticks=who.ticks, boot=who.boot)
        write_record(layout, record)
    return record


def _put_record_back(layout: Layout, before: bytes | None) -> None:
    if before is None:
        remove(layout.process)
    else:
        write_durably(layout.process, before)


def environment(layout: Layout, run_id: str) -> dict[str, str]:
    """Ours, with the project first on the module path, so that a scratch copy runs its own trainer."""
    path = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        "PYTHONPATH": f"{layout.root}{os.pathsep}{path}" if path else str(layout.root),
        "PYTHONUNBUFFERED": "1",
        protocol.RUN_ID: run_id,
    }


def write_record(layout: Layout, record: ProcessRecord) -> None:
    write_durably(layout.process, json.dumps(record.to_json(), indent=1).encode())


def stop(
    layout: Layout,
    record: ProcessRecord | None,
    who: procs.Identity,
    *,
    grace_s: float,
    note: Callable[[str], None],
) -> list[int]:
    """Stop this very process and all that belongs to it. Raises NeedsPerson where something will not die.

    Several processes are asked by a request in the run folder, which all of them see at the same step: their
    launcher would hand a signal on to each at a step of its own.
    """
    marker = f"{protocol.RUN_ID}={record.run_id}" if record and record.pid in (0, who.pid) else ""
    pids = {one.pid for one in procs.members(who, marker)}
    try:
        asked = bool(marker) and record is not None and record.processes > 1 and _ask_all(layout, record)
        killed = procs.stop(who, marker, grace_s=grace_s, note=note, signalled=not asked)
    except StillAliveError as error:
        letters = {pid: procs.state_letter(pid) for pid in error.pids}
        sleeping = [str(pid) for pid, letter in letters.items() if letter == "D"]
        raise NeedsPerson(
            str(error) + (f" ({', '.join(sleeping)} in uninterruptible sleep)" if sleeping else ""),
            stands="no file has changed; no second trainer was started",
            then="look at what they wait for (a dead disk or network share), then run this again",
        ) from None
    if left := gpu.await_released(pids, RELEASE_S):  # host memory goes with the process; the card's may take longer
        note(f"the card still holds memory of pid {', '.join(map(str, sorted(left)))}, {RELEASE_S:g} s after its end")
    return killed


def ask(layout: Layout, record: ProcessRecord, want: str, **words: str) -> str:
    """A request to the running trainer, which it takes up at its next step; the request's id. Raises OSError."""
    number = secrets.token_hex(4)
    body = {"v": 1, "id": number, "run_id": record.run_id, "want": want, **words}
    write_durably(layout.root / protocol.REQUEST, json.dumps(body).encode())
    return number


def withdraw(layout: Layout) -> None:
    """A request that nobody took up."""
    remove(layout.root / protocol.REQUEST)


def _ask_all(layout: Layout, record: ProcessRecord) -> bool:
    """False where there is no room even for a request: then a signal has to do."""
    try:
        ask(layout, record, protocol.WANT_STOP)
    except OSError:
        return False
    return True


def mark_stopped(layout: Layout, record: ProcessRecord) -> None:
    """Stopped on purpose: a rollback will not start it again. Written before the first signal."""
    write_record(layout, dataclasses.replace(record, wanted="stopped"))


def command(words: Sequence[str], **values: str) -> tuple[str, ...]:
    """The runbook's words with {python} and {resume} filled in. Other braces stay as they are."""
    found = []
    for word in words:
        for name, value in values.items():
            word = word.replace("{" + name + "}", value)  # noqa: PLW2901 - one word, filled in step by step
        found.append(word)
    return tuple(found)
