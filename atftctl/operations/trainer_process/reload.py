"""`trainer reload`: the running trainer takes up the config without a restart; its echo is the proof."""

from __future__ import annotations

from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.result import Result
from atftctl.domain.steps import ReloadTrainer
from atftctl.observe.configs import digest
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.change.readiness import take_up
from atftctl.operations.project import Project, observe, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.trainer_process.audit import log
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr


def reload(project: Project, resume: str, request: Request) -> Result:
    """Have the running trainer take the config up. Raises Refused where none of ours runs, or where it refused."""
    command = "trainer reload"

    def decide() -> Plan:
        record, wanted = _running(project)
        same = (tr("the trainer already runs with these settings"),) if record.digest == wanted else ()
        step = ReloadTrainer(record.pid, project.runbook.trainer.ready_s)
        return Plan(command, tr("take the config up without a restart"), (step,), notes=same)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del plan
        record, wanted = _running(project)
        with watch.part("reload"):
            event = take_up(project, record, wanted, resume)
        title = tr("new settings from {source}", source=event.get("resumed_from"))
        logged = log(project, command, request, title)
        return Result(
            command,
            Exit.DONE,
            tr(
                "the trainer took up config {digest} at step {step}, without a restart",
                digest=wanted[:12],
                step=event["step"],
            ),
            lines=logged,
            data={"digest": wanted, "event": dict(event)},
            parts=tuple(watch.parts),
        )

    return perform(project, Action(command, decide, act), request)


def _running(project: Project) -> tuple[ProcessRecord, str]:
    """The record of the trainer that runs, and the digest of the config as it stands."""
    facts = observe(project)
    require_readable(project, facts.configs, state="the trainer was not asked")
    record = observed.read_record(project.layout)
    if record is None or not facts.process.alive:
        raise Refused(f"no trainer of ours runs ({facts.process.state})", hint="atftctl trainer start")
    return record, digest(facts.configs)
