"""After the rollback: is the service really back, and can the first phase of improvements be turned on again?"""

from __future__ import annotations

import time
from dataclasses import replace

from atftctl import protocol
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Inconclusive, InterventionNeeded
from atftctl.domain.result import Result
from atftctl.operations.drill.drill import Drill
from atftctl.operations.reenable import phase as reenable
from atftctl.operations.reenable.order import Asked
from atftctl.operations.reenable.run import ReenableData
from atftctl.operations.verification import checklist
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr, trn

GATE_STEPS, GATE_CHECKS = 20, ("errors", "service")  # of the gate: the other checks were made a minute before


def catch_up(drill: Drill) -> str:
    """Wait until a training that began anew has come as far as the healthy run."""
    event = drill.await_event((protocol.EVALUATED,), step=drill.fault.healthy_steps)
    return trn("{count} step", "{count} steps", event["step"])


VERDICTS = {"pass": tr("pass"), "fail": tr("FAIL"), "inconclusive": tr("inconclusive")}


def verify(drill: Drill) -> str:
    """Check that the service is back at the level of the healthy run. Raises InterventionNeeded where it is not,
    Inconclusive where that can't be told."""
    begun = time.monotonic()
    result = checklist.verify(drill.project, drill.request)
    drill.timeline.verify_s = time.monotonic() - begun
    data = result.data
    assert isinstance(data, checklist.VerifyData)
    said = {check.name: VERDICTS.get(check.verdict, check.verdict) for check in data.checks}
    drill.seen["checks"] = {check.name: joined(": ", (said[check.name], check.detail)) for check in data.checks}
    for check in data.checks:
        drill.report.note(joined("", ("    ", said[check.name], "  ", check.title, ": ", check.detail)))
    if result.exit_code is not Exit.DONE:
        failed = joined("; ", checklist.not_passed(data))
        text = tr("verify: {verdict}: {checks}", verdict=data.verdict, checks=failed)
        raise Inconclusive(text) if result.exit_code is Exit.INCONCLUSIVE else InterventionNeeded(text)
    return trn("{count} check passed", "{count} checks passed", len(data.checks))


def turn_on(drill: Drill) -> str:
    """Turn the first phase on, and judge it by a short gate: that of the runbook would take longer than all other
    parts together."""
    runbook = drill.project.runbook
    first, *others = runbook.plans[runbook.reenable_plan]
    short = replace(first, gate=replace(first.gate, steps=GATE_STEPS, checks=GATE_CHECKS, quality=""))
    plans = {**runbook.plans, runbook.reenable_plan: (short, *others)}
    project = replace(drill.project, runbook=replace(runbook, plans=plans))
    begun = time.monotonic()
    result = reenable.phase(project, Asked(1), RestartPolicy(), drill.request)
    drill.timeline.reenable_s = time.monotonic() - begun
    _require_done(drill.unless_interrupted(result))
    assert isinstance(result.data, ReenableData)
    drill.seen["gate"] = {line.name: f"{line.verdict}: {line.detail}" for line in result.data.gate}
    return tr("{changes}; {verdict}", changes="; ".join(result.data.changes), verdict=result.headline)


def _require_done(result: Result) -> None:
    """Raises Inconclusive or InterventionNeeded for an operation that did not succeed."""
    if result.exit_code is Exit.INCONCLUSIVE:
        raise Inconclusive(result.headline)
    if result.exit_code is not Exit.DONE:
        raise InterventionNeeded(result.headline)
