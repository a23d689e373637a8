"""Starting and stopping the trainer, with the record that outlives us."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from atftctl import protocol
from atftctl.apply.launch import LaunchSpec
from atftctl.domain.errors import InterventionNeeded, Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.host import footprint
from atftctl.host.errors import HostError, StillAliveError
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.logs import inode_of_log, real_path, size_of_log
from atftctl.host.files.reading import try_read
from atftctl.host.process import gpu, rights
from atftctl.host.process import spawn as spawning
from atftctl.host.process import stop as control
from atftctl.host.process import table as procs
from atftctl.state import process_record
from atftctl.state.layout import Layout
from atftctl.state.process_record import may_signal, put_record_back, write_record

read_record, identity = process_record.read, process_record.identity
RELEASE_S = 15.0  # for memory of graphics cards, after the process that held it is gone


def start(layout: Layout, order: LaunchSpec, *, digest: str, now: datetime) -> ProcessRecord:
    """Start the trainer in the project's folder. The record is written before and after: a crash in between loses
    nothing."""
    output = real_path(layout.root, protocol.OUTPUT)
    for path in (output, real_path(layout.root, protocol.BEST)):
        make_dirs(path.parent)
    record = ProcessRecord(
        run_id=f"{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(4)}",
        wanted="running",
        started_at=now.astimezone().isoformat(timespec="seconds"),
        digest=digest,
        resume=order.resume,
        events_from=size_of_log(layout.root, protocol.EVENTS),
        log_from=size_of_log(layout.root, protocol.LOG),
        metrics_from=size_of_log(layout.root, protocol.METRICS),
        events_inode=inode_of_log(layout.root, protocol.EVENTS),
        host=procs.here()[0],
        namespace=procs.here()[1],
        processes=order.processes,
    )
    before = try_read(layout.process)
    write_record(layout, record)
    try:
        child = spawning.spawn(
            order.argv,
            cwd=layout.root,
            env=environment(layout, record.run_id),
            output=output,
            memory_limit_mb=order.memory_limit_mb,
        )
    except (HostError, OSError):
        put_record_back(layout, before)  # nothing runs; what was known of the last run stays known
        raise
    footprint.leave(f"started the trainer, pid {child.pid}")
    who = procs.identify(child.pid)
    if who:
        record = dataclasses.replace(record, pid=who.pid, ticks=who.ticks, boot=who.boot)
        write_record(layout, record)
    return record


def environment(layout: Layout, run_id: str) -> dict[str, str]:
    """Ours, with the project first on the module path, so that a scratch copy runs its own trainer."""
    path = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        "PYTHONPATH": f"{layout.root}{os.pathsep}{path}" if path else str(layout.root),
        "PYTHONUNBUFFERED": "1",
        protocol.RUN_ID: run_id,
    }


def stop(
    layout: Layout,
    record: ProcessRecord | None,
    who: procs.Identity,
    *,
    grace_s: float,
    note: Callable[[str], None],
    adopted: bool = False,
) -> list[int]:
    """Stop this very process and all that belongs to it. Raises InterventionNeeded where something will not die.

    Several processes are asked by a request in the run folder, which all of them see at the same step: their
    launcher would hand a signal on to each at a step of its own. `adopted`: the operator named this very process;
    otherwise it must be the trainer of this project.
    """
    if procs.is_above_us(who):
        raise Refused(
            f"this command runs below the trainer itself (pid {who.pid}), and would stop itself with it",
            hint="run it from a shell of its own",
        )
    if not adopted and procs.alive(who) and not may_signal(layout, record, who):
        raise InterventionNeeded(
            f"pid {who.pid} is recorded as the trainer, and is not: it has no mark of the run, and is another user's",
            state="it was not signalled; no file has changed",
            hint=f"look at it: ps -p {who.pid}; if the record is wrong: rm .atftctl/process.json",
        )
    own = record is not None and (record.detached or record.pid in (0, who.pid))
    marker = process_record.marker(record) if record and own else ""
    uid = None if adopted else rights.uid_of(layout.root)
    pids = {one.pid for one in procs.members(who, marker, uid)}
    try:
        asked = bool(marker) and record is not None and record.processes > 1 and _ask_all(layout, record)
        killed = control.stop(who, marker, grace_s=grace_s, note=note, signalled=not asked, uid=uid)
        if pids:
            footprint.leave(f"stopped pid {', '.join(map(str, sorted(pids)))}")
    except StillAliveError as error:
        letters = {pid: procs.state_letter(pid) for pid in error.pids}
        sleeping = [str(pid) for pid, letter in letters.items() if letter == "D"]
        raise InterventionNeeded(
            str(error) + (f" ({', '.join(sleeping)} in uninterruptible sleep)" if sleeping else ""),
            state="no file has changed; no second trainer was started",
            hint="look at what they wait for (a dead disk or network share), then run this again",
        ) from None
    if left := gpu.await_released(pids, RELEASE_S):  # host memory goes with the process; the card's may take longer
        note(f"the card still holds memory of pid {', '.join(map(str, sorted(left)))}, {RELEASE_S:g} s after its end")
    return killed


def ask(layout: Layout, record: ProcessRecord, want: str, **words: str) -> str:
    """A request to the running trainer, which it takes up at its next step; the request's id. Raises OSError."""
    number = secrets.token_hex(4)
    body = {"v": 1, "id": number, "run_id": record.run_id, "want": want, **words}
    write_durably(real_path(layout.root, protocol.REQUEST), json.dumps(body).encode())
    return number


def withdraw(layout: Layout) -> None:
    """A request that nobody took up."""
    remove(real_path(layout.root, protocol.REQUEST))


def _ask_all(layout: Layout, record: ProcessRecord) -> bool:
    """False where there is no room even for a request: then a signal has to do."""
    try:
        ask(layout, record, protocol.WANT_STOP)
    except OSError:
        return False
    return True


def command(words: Sequence[str], **values: str) -> tuple[str, ...]:
    """The runbook's words with {python} and {resume} filled in. Other braces stay as they are."""
    found = []
    for word in words:
        for name, value in values.items():
            word = word.replace("{" + name + "}", value)  # noqa: PLW2901 - one word, filled in step by step
        found.append(word)
    return tuple(found)
