"""What drills found: a verdict for each, with its times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.operations.drill.timeline import Seconds
from atftctl.operations.report.incident_data import IncidentPart
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr, trn

Verdict = Literal["restored", "not restored", "inconclusive"]
EXIT_OF: Mapping[Verdict, Exit] = {
    "restored": Exit.DONE,
    "not restored": Exit.CHECK_FAILED,
    "inconclusive": Exit.INCONCLUSIVE,
}
REACTION_S, OWN_S = 30.0, 2.0  # targets: from the decision to the first step on two idle cores; the tool's own share


@record
class Rehearsed(Data):
    """One drill.

    symptom: its name in the runbook. title: its title there. verdict: `restored`: the fault was seen and rolled back by
    the watcher, the checklist passed, and the first phase is on again; `not restored`: one of these failed;
    `inconclusive`: one of them could not be told. obstacle: what failed, or null. target_minutes: the runbook's time
    for the rollback. total_s: seconds of the whole drill. seconds: of the incident, part by part. seen: what was
    measured. timeline: one line for each part. folder: of the scratch copy where it was kept, or null. incident: the
    watcher's rollback, as `incident` tells it; null where nothing was rolled back.
    """

    symptom: str
    title: str
    verdict: Verdict
    obstacle: str | None
    target_minutes: int
    total_s: float
    seconds: Seconds
    seen: Mapping[str, Any]
    timeline: tuple[str, ...]
    folder: str | None = None
    incident: IncidentPart | None = None


@record
class DrillData(Data):
    """Data of `drill`.

    verdict: `not restored` where one drill is; else `inconclusive` where one is; else `restored`. total_s: seconds in
    all. drills: in the order of the runbook. missing: symptoms that have no drill, with `--all`.
    """

    verdict: Verdict
    total_s: float
    drills: tuple[Rehearsed, ...]
    missing: tuple[str, ...] = ()


def overall(drills: Sequence[Rehearsed]) -> Verdict:
    """The worst verdict."""
    worst: tuple[Verdict, ...] = ("not restored", "inconclusive")
    return next((verdict for verdict in worst if any(drill.verdict == verdict for drill in drills)), "restored")


def sentence(data: DrillData) -> Message:
    """The headline."""
    if len(data.drills) == 1:
        return _one(data.drills[0])
    bad = [drill.symptom for drill in data.drills if drill.verdict != "restored"]
    if not bad:
        return trn("{count} drill passed in {minutes:.1f} min", "{count} drills passed in {minutes:.1f} min",
                   len(data.drills), minutes=data.total_s / 60)  # fmt: skip
    return tr("{passed} of {count} drills passed in {minutes:.1f} min; not: {names}",
              passed=len(data.drills) - len(bad), count=len(data.drills), minutes=data.total_s / 60,
              names=joined(", ", bad))  # fmt: skip


def _one(drill: Rehearsed) -> Message:
    if drill.verdict == "restored":
        return tr(
            "drill passed in {total:.0f} s: {symptom}, rolled back in {rollback:.1f} s (target {target} min), "
            "verified, phase 1 is on again",
            total=drill.total_s,
            symptom=drill.title,
            rollback=drill.seconds.reaction or 0.0,
            target=drill.target_minutes,
        )
    if drill.verdict == "inconclusive":
        return tr("the drill of {symptom} is inconclusive: {obstacle}", symptom=drill.symptom, obstacle=drill.obstacle)
    return tr("the drill of {symptom} failed: {obstacle}", symptom=drill.symptom, obstacle=drill.obstacle)
