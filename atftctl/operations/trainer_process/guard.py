"""`guard`: check that a trainer may be started here now, for trainers that `atftctl trainer start` does not start."""

from __future__ import annotations

from atftctl.apply import staging_folders
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Process
from atftctl.host import locks
from atftctl.host.process.inherited_state import inherited_generation, inherited_mark
from atftctl.observe.configs import digest
from atftctl.operations.change.project_lock import held_by, locked
from atftctl.operations.project import Project, now, observe, refuse_open, require_readable
from atftctl.operations.request import Request
from atftctl.protocol import generations
from atftctl.protocol.messages import tr
from atftctl.state import generation, process_record, quarantine, reserve
from atftctl.state import staged as staged_state
from atftctl.state.engines.choice import engine_of
from atftctl.state.layout import Layout


def check(project: Project, override: str, request: Request | None = None) -> dict[str, str]:
    """Check that a trainer may be started; return the environment variables with its generation. Raises Refused with
    the reason and what to do. The overdue undo of a change that was not confirmed comes first; `request` reports it.

    `override`: why a quarantined config is safe now; the config is released from quarantine for good. Where atftctl has
    started this command as the trainer, everything was checked, and the trainer keeps its generation.
    """
    layout = project.layout
    holder = locks.holder(layout.lock)
    if number := _number_as_trainer(layout, starting=holder is not None):
        return generations.marks(layout.root, number)
    if holder is not None:
        raise Refused(held_by(holder), hint=tr("wait until that operation has ended, then run this command again"))
    if layout.pending.exists():
        from atftctl.operations import overdue

        overdue.expire_overdue(project, request or Request())
    refuse_open(project)
    facts = observe(project)
    require_readable(project, facts.configs)
    if reason := _other_trainer(facts.process):
        raise Refused(reason, hint="atftctl trainer status")
    _refuse_staged(layout)
    _refuse_quarantined(layout, digest(facts.configs), override)
    with locked(project, "guard", Request(reason=override)):
        number = generation.take(layout)
        staging_folders.renew(layout, number)
    return generations.marks(layout.root, number)


def _number_as_trainer(layout: Layout, *, starting: bool) -> int:
    """The generation of this process where it is the recorded trainer, or a part of it: `trainer start` has given it
    the id and the number of the newest run. Else 0. `starting`: an operation is under way, and may be this start.

    A shell that was opened from the trainer has the same marks: they count only while the recorded process is above us,
    or not known yet, or was left behind by a launcher during the start."""
    record, mark = process_record.read(layout), inherited_mark()
    number = generations.parse(inherited_generation())
    if record is None or not mark or (record.run_id, record.generation, record.wanted) != (mark, number, "running"):
        return 0
    if number != generations.newest(layout.root):
        return 0
    engine = engine_of(record)
    main = engine.find(layout, record)
    ours = engine.holds_us(main) if main else starting or not record.pid
    return number if ours else 0


def _other_trainer(process: Process) -> str:
    """Describe the trainer that is already running, or may be; empty where there is none."""
    if process.where:
        return tr("the trainer was started on {host}; its state can't be seen from here", host=process.where)
    if process.alive:
        return tr("the trainer is already running, {process}", process=process.name)
    if process.leftovers:
        pids = ", ".join(map(str, process.leftovers))
        return tr("processes of the last run are still running: pid {pids}", pids=pids)
    if process.unmanaged:
        return tr("a manually started trainer is running here: {process}", process=process.unmanaged[0].name)
    return ""


def _refuse_staged(layout: Layout) -> None:
    """Raises Refused while a process carries out a staged rollback."""
    state = staged_state.read(layout)
    if state and staged_state.is_running(state):
        raise Refused(
            tr("{rollback} (pid {pid})", rollback=state.summary, pid=state.pid),
            hint=tr("wait until that operation has ended, then run this command again"),
        )


def _refuse_quarantined(layout: Layout, config: str, override: str) -> None:
    """Raises Refused for a quarantined config, or releases it where there is an override. `config`: its digest."""
    reason = quarantine.reason(layout, config)
    if not reason:
        return
    if not override:
        raise Refused(
            tr("this config ({digest}) is quarantined: {reason}", digest=config[:12], reason=reason),
            hint=tr("change the config, or run: atftctl guard --override 'why it is safe now' -- COMMAND"),
        )
    reserve.prepare(layout)
    quarantine.lift(layout, config, f"overridden: {override}", now())
