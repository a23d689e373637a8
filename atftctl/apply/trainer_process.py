"""Start and stop the trainer, and keep the record by which later commands find it."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePosixPath

from atftctl import protocol
from atftctl.apply import staging_folders
from atftctl.apply.launch import LaunchSpec
from atftctl.domain.errors import InterventionNeeded, Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.host import footprint, memory
from atftctl.host.errors import HostError, StillAliveError
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.logs import inode_of_log, real_path, size_of_log
from atftctl.host.files.reading import try_read
from atftctl.host.process import gpu, rights
from atftctl.host.process import kept as keeping
from atftctl.host.process import spawn as spawning
from atftctl.host.process import stop as control
from atftctl.host.process import table as procs
from atftctl.protocol import generations
from atftctl.protocol.messages import joined, tr
from atftctl.state import exits, generation, metrics_places, process_record
from atftctl.state.layout import Layout
from atftctl.state.process_record import may_signal, restore_record, write_record

read_record, identity = process_record.read, process_record.identity
RELEASE_S = 15.0  # how long to wait until a graphics card has released the memory of an ended process


def start(layout: Layout, launch: LaunchSpec, *, digest: str, now: datetime) -> ProcessRecord:
    """Start the trainer in the project's folder and return its record. Raises HostError, OSError.

    First comes the number of this start, and earlier trainers are fenced; then the record, so that a crash loses no
    trainer; the record is written again with the pid.
    """
    _refuse_no_folder(layout, launch.output)
    output = real_path(layout.root, launch.output)
    for path in (output, real_path(layout.root, protocol.BEST)):
        make_dirs(path.parent)
    number = generation.take(layout)
    staging_folders.renew(layout, number)
    record = _new_record(layout, launch, digest, now, number)
    before = try_read(layout.process)
    write_record(layout, record)
    try:
        pid, who = _spawn(layout, launch, record, output)
    except (HostError, OSError):
        restore_record(layout, before)  # nothing runs, so the record of the last run stays
        raise
    footprint.leave(tr("started the trainer (pid {pid})", pid=pid))
    if who:
        record = dataclasses.replace(record, pid=who.pid, ticks=who.ticks, boot=who.boot)
        write_record(layout, record)
    return record


def _refuse_no_folder(layout: Layout, output: str) -> None:
    """Raises HostError where the folder of the trainer's output can't be made, or is to be made where a symlink leads
    to: the disk that is meant may not be mounted."""
    for name in reversed(PurePosixPath(output).parents):
        folder = layout.root / name
        if folder.is_symlink() and not folder.exists():
            values = {"path": name, "target": os.readlink(folder)}
            raise HostError(
                tr(
                    "{path} is a symlink to {target}, which does not exist; make that folder, or mount its disk",
                    **values,
                )
            )
        if folder.exists() and not folder.is_dir():
            raise HostError(
                tr("{path} is a file, but the trainer's output is to be written into a folder of that name", path=name)
            )


def _spawn(
    layout: Layout, launch: LaunchSpec, record: ProcessRecord, output: Path
) -> tuple[int, procs.Identity | None]:
    """Start the command; return its pid, and its process, None where it has ended. One that writes no events gets a
    parent that writes down how it ends."""
    env = environment(layout, record.run_id, record.generation, launch.env)
    limit_mb = launch.memory_limit_mb
    if not launch.ready:
        child = spawning.spawn(launch.argv, cwd=layout.root, env=env, output=output, memory_limit_mb=limit_mb)
        return child.pid, procs.identify(child.pid)
    who = keeping.spawn_kept(
        launch.argv,
        cwd=layout.root,
        env=env,
        output=output,
        exits=exits.prepare(layout, record.run_id),
        memory_limit_mb=limit_mb,
    )
    return who.pid, who


def _new_record(layout: Layout, launch: LaunchSpec, digest: str, now: datetime, number: int) -> ProcessRecord:
    """The record of a run that is about to start, without a pid. `number`: its generation."""
    kills, cgroup, inode = memory.kill_count()
    return ProcessRecord(
        run_id=f"{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(4)}",
        wanted="running",
        started_at=now.astimezone().isoformat(timespec="seconds"),
        digest=digest,
        resume=launch.resume,
        events_from=size_of_log(layout.root, protocol.EVENTS),
        log_from=size_of_log(layout.root, protocol.LOG),
        metrics_from=size_of_log(layout.root, protocol.METRICS),
        metrics_inode=inode_of_log(layout.root, protocol.METRICS),
        metrics_files=metrics_places.places_of(layout),
        events_inode=inode_of_log(layout.root, protocol.EVENTS),
        log_inode=inode_of_log(layout.root, protocol.LOG),
        output_from=size_of_log(layout.root, launch.output),
        output_inode=inode_of_log(layout.root, launch.output),
        output=launch.output,
        ready=launch.ready,
        host=procs.host_and_namespace()[0],
        namespace=procs.host_and_namespace()[1],
        processes=launch.processes,
        generation=number,
        oom_kills=kills,
        oom_cgroup=cgroup,
        oom_inode=inode,
    )


def environment(layout: Layout, run_id: str, number: int, env: Mapping[str, str]) -> dict[str, str]:
    """Return the trainer's environment: ours, or what another user may get of it, with the variables `env`, its run id
    and its generation, and with the project first on the module path.

    So a scratch copy of the project runs its own trainer.
    """
    path = env.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    return rights.Chosen({
        **rights.inherited(rights.user_of(layout.root)),
        **env,
        "PYTHONPATH": f"{layout.root}{os.pathsep}{path}" if path else str(layout.root),
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",  # setproctitle would write its title over the marks in /proc/PID/environ
        protocol.RUN_ID: run_id,
        **generations.marks(layout.root, number),
    })  # fmt: skip


def stop(
    layout: Layout,
    record: ProcessRecord | None,
    who: procs.Identity,
    *,
    grace_s: float,
    note: Callable[[str], None],
    adopted: bool = False,
) -> list[int]:
    """Stop this process and all that belongs to it, and return the pids that had to be killed.

    `adopted`: the operator named this process; otherwise it must be the trainer of this project. Several processes are
    asked by a request in the run folder, which all of them see at the same step: their launcher would pass a signal on
    to each at a different step. Raises Refused, and InterventionNeeded where a process does not end.
    """
    _refuse_stop(layout, record, who, adopted=adopted)
    own = record is not None and (record.detached or record.pid in (0, who.pid))
    marker = process_record.marker(record) if record and own else ""
    uid = None if adopted else rights.uid_of(layout.root)
    pids = {process.pid for process in procs.members(who, marker, uid)}
    try:
        asked = bool(marker) and record is not None and record.processes > 1 and _ask_all(layout, record)
        killed = control.stop(who, marker, grace_s=grace_s, note=note, signalled=not asked, uid=uid)
        if pids:
            footprint.leave(tr("stopped processes (pid {pids})", pids=_listed(pids)))
    except StillAliveError as error:
        raise _still_alive(error) from None
    if own and record is not None and record.generation:
        with suppress(OSError, HostError):  # the next start tries again, and says where it can't
            staging_folders.fence(layout, only=record.generation)
    if left := gpu.await_released(pids, RELEASE_S):  # host memory goes with the process; the card's may take longer
        note(
            tr(
                "the GPU still holds memory of ended processes (pid {pids}) after {seconds:g} s",
                pids=_listed(left),
                seconds=RELEASE_S,
            )
        )
    return killed


def _refuse_stop(layout: Layout, record: ProcessRecord | None, who: procs.Identity, *, adopted: bool) -> None:
    """Raise Refused for a process that this command runs below, InterventionNeeded for one that is not the trainer."""
    if procs.is_above_us(who):
        raise Refused(
            tr("this command was started by the trainer itself (pid {pid}), and would stop itself", pid=who.pid),
            hint=tr("run this command from another shell"),
        )
    if not adopted and procs.alive(who) and not may_signal(layout, record, who):
        raise InterventionNeeded(
            tr(
                "pid {pid} is recorded as the trainer but is another process: it has no mark of the run, or belongs to "
                "another user",
                pid=who.pid,
            ),
            state=tr("the process was not signalled; no file has changed"),
            hint=tr("check the process: ps -p {pid}; if the record is wrong: rm .atftctl/process.json", pid=who.pid),
        )


def _still_alive(error: StillAliveError) -> InterventionNeeded:
    letters = {pid: procs.state_letter(pid) for pid in error.pids}
    sleeping = [str(pid) for pid, letter in letters.items() if letter == "D"]
    message: str = tr("processes are still alive after SIGKILL: pid {pids}", pids=_listed(error.pids))
    if sleeping:
        in_sleep = tr("in uninterruptible sleep: pid {pids}", pids=", ".join(sleeping))
        message = joined("; ", [message, in_sleep])
    return InterventionNeeded(
        message,
        state=tr("no file has changed; no second trainer was started"),
        hint=tr("find out what they wait for (a failed disk or network share), then run this command again"),
    )


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(pids)))


def ask(layout: Layout, record: ProcessRecord, want: str, **fields: str) -> str:
    """Write a request that the running trainer reads at its next step, and return the request's id. Raises OSError."""
    number = secrets.token_hex(4)
    body = {"v": 1, "id": number, "run_id": record.run_id, "want": want, **fields}
    write_durably(real_path(layout.root, protocol.REQUEST), json.dumps(body).encode())
    return number


def withdraw(layout: Layout) -> None:
    """Remove a request that the trainer has not read. Raises OSError."""
    remove(real_path(layout.root, protocol.REQUEST))


def _ask_all(layout: Layout, record: ProcessRecord) -> bool:
    """Ask all processes to stop. False where the request can't be written (a full disk): then a signal is sent."""
    try:
        ask(layout, record, protocol.WANT_STOP)
    except OSError:
        return False
    return True


def command(template: Sequence[str], **values: str) -> tuple[str, ...]:
    """Fill {python} and {resume} into a command of the runbook. Other braces stay as they are."""
    argv = []
    for argument in template:
        for name, value in values.items():
            argument = argument.replace("{" + name + "}", value)  # noqa: PLW2901 - filled in step by step
        argv.append(argument)
    return tuple(argv)
