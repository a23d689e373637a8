"""`trainer reload`: the running trainer takes up the config without a restart; its echo is the proof."""

from __future__ import annotations

from atftctl.domain.errors import Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.result import Result
from atftctl.observe.configs import digest
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.change.project_lock import locked
from atftctl.operations.change.readiness import take_up
from atftctl.operations.project import Project, observe, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.trainer_process.audit import log
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


def _running(project: Project) -> tuple[ProcessRecord, str]:
    """The record of the trainer that runs, and the digest of the config as it stands."""
    facts = observe(project)
    require_readable(project, facts.configs, state="the trainer was not asked")
    record = observed.read_record(project.layout)
    if record is None or not facts.process.alive:
        raise Refused(f"no trainer of ours runs ({facts.process.state})", hint="atftctl trainer start")
    return record, digest(facts.configs)
