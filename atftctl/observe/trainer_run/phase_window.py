"""Observe the trainer while the gate of a phase is open."""

from __future__ import annotations

from atftctl import protocol
from atftctl.domain.engines import LOCAL
from atftctl.domain.facts import Process
from atftctl.domain.metrics_window import Window
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.reenabling import View
from atftctl.domain.runbook import TrainerRules
from atftctl.host.files.logs import inode_of_log, size_of_log
from atftctl.host.process import table as procs
from atftctl.observe.metrics.text_rows import metrics_since
from atftctl.observe.trainer_run import event_log, process
from atftctl.protocol.messages import Message, tr
from atftctl.state.layout import Layout
from atftctl.state.metrics_places import places_of

NOT_RUNNING = ("stopping", "elsewhere", "finished", "lost", "unknown")
NEXT = tr("then run: atftctl resume")


def look(layout: Layout, view: View, rules: TrainerRules) -> tuple[Window, str]:
    """(what the trainer did since the phase began; why it can't be judged by that, or "")."""
    trainer, record = process.observe(layout, rules), process.read_record(layout)
    generation = record.generation if record else 0
    rows = metrics_since(layout, view.metrics_since, generation) if view.run_id else []
    fatal = None if trainer.alive else trainer.last_event
    return Window(rows, trainer.alive, fatal, trainer.silent_s), _obstacle(view, trainer, record)


def view_of(layout: Layout, trainer: Process, config: str) -> View | None:
    """A window that begins now, on the trainer that runs with the config of this digest; None where none does."""
    record = process.read_record(layout)
    if record is None or not trainer.alive or trainer.run_id != record.run_id or trainer.digest != config:
        return None
    size, inode = size_of_log(layout.root, protocol.METRICS), inode_of_log(layout.root, protocol.METRICS)
    return View(record.run_id, size, metrics_inode=inode, digest=config, metrics_files=places_of(layout))


def view_since_start(layout: Layout, run_id: str) -> View | None:
    """A window since the start of this run; None where another one is recorded by now."""
    record = process.read_record(layout)
    if record is None or record.run_id != run_id:
        return None
    since = record.metrics_since
    return View(run_id, since.offset, since.inode, digest=record.digest, metrics_files=since.places)


def started_with(layout: Layout, trainer: Process, config: str) -> str:
    """The id of the recorded run, alive or not, where it had the config of this digest from its start on; else ""."""
    record = process.read_record(layout)
    if record is None or record.run_id != trainer.run_id:
        return ""
    events = event_log.events(layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id)
    digests = {str(event["digest"]) for event in events if event.get("digest")}
    return record.run_id if {record.digest, *digests} == {config} else ""


def _obstacle(view: View, trainer: Process, record: ProcessRecord | None) -> str:
    """Say why this trainer can't show whether the phase is good; "" where it can."""
    if not view.run_id:
        return _nobody(trainer)
    if record is None or {record.run_id, trainer.run_id} != {view.run_id}:
        return tr("another trainer was started since the phase began; to judge the phase by that one: atftctl resume")
    if view.digest and trainer.digest != view.digest:
        return tr(
            "the trainer took up other settings since the phase began; to judge the phase by those: atftctl resume"
        )
    if not trainer.alive and record.wanted == "running" and _was_booted_since(record):
        return tr("the machine was restarted and the trainer is not running")
    if "stopped" in (trainer.state, record.wanted) or trainer.state in NOT_RUNNING:
        return tr("the trainer does not run any more ({state})", state=STATE_TEXTS[trainer.state])
    return ""


def _was_booted_since(record: ProcessRecord) -> bool:
    """Was this machine booted since it began to run the trainer?"""
    return record.engine == LOCAL and record.boot not in ("", procs.boot_id())


def _nobody(trainer: Process) -> Message:
    """Say that no trainer runs with the phase's settings, and what to do."""
    if trainer.alive:
        text = tr("the running trainer ({process}) has other settings than the files", process=trainer.name)
        return tr("{problem}; restart it: atftctl trainer restart, {then}", problem=text, then=NEXT)
    text = tr("no trainer is running ({state})", state=STATE_TEXTS[trainer.state])
    return tr("{problem}; start it: atftctl trainer start, {then}", problem=text, then=NEXT)
