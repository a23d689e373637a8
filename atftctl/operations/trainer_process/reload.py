"""`trainer reload`: the running trainer takes up the config without a restart; its echo is the proof."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from atftctl import protocol
from atftctl.apply import trainer_process
from atftctl.domain.errors import NeedsPerson, Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.result import Result
from atftctl.host.errors import reason
from atftctl.host.files.logs import inode_of_log, size_of_log
from atftctl.observe.configs import digest
from atftctl.observe.trainer_run import event_log
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.change.carry_out import locked
from atftctl.operations.project import Project, observe, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.trainer_process.lifecycle import log
from atftctl.protocol import Exit


def reload(project: Project, resume: str, request: Request) -> Result:
    """Raises Refused where no trainer of ours runs, or where it refused the settings: then the old ones go on."""
    if request.dry_run:
        record, wanted = _running(project)
        words = "already runs with these settings" if record.digest == wanted else "would take up the config as it is"
        return Result("trainer reload", Exit.DONE, f"dry run: the trainer {words}")
    watch = Stopwatch(request.report)
    with locked(project, "trainer reload", request):
        record, wanted = _running(project)
        with watch.part("reload"):
            event = take_up(project, record, wanted, resume)
        told = log(project, "trainer reload", request, f"new settings from {event.get('resumed_from')}")
    return Result(
        "trainer reload",
        Exit.DONE,
        f"the trainer took up config {wanted[:12]} at step {event['step']}, without a restart",
        lines=told,
        data={"digest": wanted, "event": dict(event)},
        parts=tuple(watch.parts),
    )


def take_up(project: Project, record: ProcessRecord, wanted: str, resume: str = "last") -> Mapping[str, Any]:
    """Its echo of the settings whose digest is `wanted`. Raises Refused where it refused them, NeedsPerson where it
    does not answer, or took up others."""
    offset = size_of_log(project.layout.root, protocol.EVENTS)
    inode = inode_of_log(project.layout.root, protocol.EVENTS)
    try:
        number = trainer_process.ask(project.layout, record, protocol.WANT_RELOAD, resume=resume)
    except OSError as error:
        raise Refused(f"the request can't be written: {reason(error)}", stands="the old settings go on") from None
    event = _await(project, record, number, offset, inode)
    if event["event"] == protocol.RELOAD_REFUSED:
        raise Refused(
            f"the trainer refused the settings: {event.get('message')}", stands="it goes on with the old ones"
        )
    if event.get("digest") != wanted:
        raise NeedsPerson(
            "the trainer took up other settings than stand in the files",
            stands="they were changed in between, or it reads other files",
            then="atftctl trainer reload, again",
        )
    trainer_process.write_record(project.layout, dataclasses.replace(record, digest=wanted))
    return event


def _running(project: Project) -> tuple[ProcessRecord, str]:
    """The record of the trainer that runs, and the digest of the config as it stands."""
    facts = observe(project)
    require_readable(project, facts.configs, stands="the trainer was not asked")
    record = observed.read_record(project.layout)
    if record is None or not facts.process.alive:
        raise Refused(f"no trainer of ours runs ({facts.process.state})", then="atftctl trainer start")
    return record, digest(facts.configs)


def _await(project: Project, record: ProcessRecord, number: str, offset: int, inode: int) -> Mapping[str, Any]:
    event, why = event_log.await_event(
        project.layout.root,
        run_id=record.run_id,
        offset=offset,
        inode=inode,
        wanted=(protocol.RELOADED, protocol.RELOAD_REFUSED),
        alive=lambda: observed.identity(project.layout, record) is not None,
        limit_s=project.runbook.trainer.ready_s,
        request=number,
    )
    if event is None:
        trainer_process.withdraw(project.layout)  # it must not take up later what has been put back by then
        raise NeedsPerson(
            f"the trainer did not answer: {why}",
            stands="the request was withdrawn",
            then="atftctl trainer status; atftctl trainer restart takes the settings up in any case",
        )
    return event
