"""`trainer reload`: have the running trainer load the config without a restart; its answer is the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atftctl.decide.plans.builder import refuse_reload
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.result import Data, Result
from atftctl.domain.steps import ReloadTrainer
from atftctl.observe.configs import digest
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.change.readiness import request_reload
from atftctl.operations.project import Project, observe, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.trainer_process.audit import log
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr


@dataclass(frozen=True)
class ReloadData(Data):
    """The answer of the trainer. digest: the digest of the config that it uses now. event: the event of its reload."""

    digest: str
    event: Mapping[str, Any]


def reload(project: Project, resume: str, request: Request) -> Result:
    """Have the running trainer load the config. Raises Refused where no trainer of ours is running, or where it refused
    the config."""
    command = "trainer reload"

    def decide() -> Plan:
        record, wanted = _running(project)
        refuse_reload(observe(project).process)
        notes = (tr("the trainer already runs with these settings"),) if record.digest == wanted else ()
        step = ReloadTrainer(record.pid, project.runbook.trainer.ready_s, record.engine)
        return Plan(command, tr("load the config without a restart"), (step,), notes=notes)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del plan
        record, wanted = _running(project)
        with watch.part("reload"):
            event = request_reload(project, record, wanted, resume)
        title = tr("config loaded; continued from {source}", source=event.get("resumed_from"))
        warnings = log(project, command, request, title)
        return Result(
            command,
            Exit.DONE,
            tr(
                "the trainer uses config {digest} since step {step}, without a restart",
                digest=wanted[:12],
                step=event["step"],
            ),
            lines=warnings,
            data=ReloadData(wanted, dict(event)),
            parts=tuple(watch.parts),
        )

    return perform(project, Action(command, decide, act), request)


def _running(project: Project) -> tuple[ProcessRecord, str]:
    """Return the record of the running trainer, and the digest of the config. Raises Refused."""
    facts = observe(project)
    require_readable(project, facts.configs, state=tr("the trainer was not asked to reload"))
    record = observed.read_record(project.layout)
    if record is None or not facts.process.alive:
        raise Refused(
            tr("no trainer started by atftctl is running ({state})", state=facts.process.state),
            hint="atftctl trainer start",
        )
    return record, digest(facts.configs)
