"""Start and stop the trainer, and keep the record by which later commands find it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import PurePosixPath

from atftctl import protocol
from atftctl.apply import staging_folders
from atftctl.domain.errors import InterventionNeeded, NotProvenEnded
from atftctl.domain.launch import LaunchSpec
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.host import memory
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.logs import inode_of_log, real_path, size_of_log
from atftctl.host.files.reading import try_read
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.protocol import generations
from atftctl.protocol.messages import joined, tr
from atftctl.state import exits, generation, metrics_places, process_record
from atftctl.state.engines.choice import engine_of, named
from atftctl.state.engines.engine import StopOrder
from atftctl.state.layout import Layout
from atftctl.state.process_record import restore_record, write_record

read_record = process_record.read


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
    env = environment(layout, record.run_id, record.generation, launch.env)
    try:
        who = engine_of(record).submit(layout, launch, record, env, output)
    except (HostError, OSError):
        restore_record(layout, before)  # nothing runs, so the record of the last run stays
        raise
    if who:
        record = record.begun_as(who)
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
        engine=launch.engine,
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
    who: TrainerIdentity,
    *,
    grace_s: float,
    note: Callable[[str], None],
    adopted: bool = False,
    fenced: bool = False,
) -> list[int]:
    """Stop this trainer and all that belongs to it, and return the pids that had to be killed.

    `adopted`: the operator named this process; otherwise it must be the trainer of this project. `fenced`: one that
    can't be shown to have ended is fenced, and counts as stopped. Raises Refused, and InterventionNeeded where a
    process does not end.
    """

    def ask_all() -> bool:
        return record is not None and _ask_all(layout, record)

    def fence() -> None:
        if record is not None and record.generation:
            with suppress(OSError, HostError):  # the next start tries again, and says where it can't
                staging_folders.fence(layout, only=record.generation)

    order = StopOrder(grace_s=grace_s, adopted=adopted, ask=ask_all, ended=fence, note=note)
    try:
        return named(who.engine).stop(layout, record, who, order)
    except NotProvenEnded as error:
        if not fenced:
            raise
        _fence_off(layout, record, error, note)
        return []


def _fence_off(
    layout: Layout, record: ProcessRecord | None, error: NotProvenEnded, note: Callable[[str], None]
) -> None:
    """Fence all trainers that were started, since one of them may go on. Raises InterventionNeeded where that can't be
    done."""
    try:
        staging_folders.fence(layout)
        if record is not None:
            exits.close(layout, record.run_id, "fence")
    except (OSError, HostError) as problem:
        raise InterventionNeeded(
            joined("; ", [error.message, tr("the fence can't be set: {reason}", reason=reason(problem))]),
            state=error.state,
            hint=error.hint,
        ) from None
    note(
        tr(
            "{problem}: going on behind the fence; what that trainer saves from now on replaces no checkpoint, but it "
            "may still write to its logs and take its memory",
            problem=error.message,
        )
    )


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
