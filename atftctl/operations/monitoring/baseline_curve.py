"""The loss curve of the baseline in use, for the detector `slower`; or why a run can't be compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.decide.detectors.bank import NO_CURVE
from atftctl.decide.detectors.loss_curve import curve_of
from atftctl.decide.detectors.slow import Curve
from atftctl.decide.verdicts.comparable import curve_differences
from atftctl.domain.errors import Refused
from atftctl.operations.project import Project
from atftctl.protocol import STARTED
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import baseline as stored

RECORD = "atftctl baseline record"


def baseline_curve(project: Project, started: Mapping[str, Any] | None) -> tuple[Curve, Message | None]:
    """(the curve of the baseline in use, None), or (an empty curve, why there is none that the run can be compared
    with). Where that baseline has none that fits, as under another loss, that of another recorded one is taken.

    started: the first event of the run; None to take the curve as it is, as for files of past runs. Raises nothing:
    where a baseline can't be used, nothing else of a diagnosis depends on it.
    """
    column = project.runbook.metrics.loss
    try:
        used = stored.name_in_use(project.layout)
        curve, why = _curve(project, used, column, started)
        if why is None:
            return curve, None
        others = [name for name in stored.names(project.layout) if name != used]
    except (Refused, OSError):
        return NO_CURVE, tr("slow convergence: the baseline can't be used; see: atftctl baseline list")
    for name in others if started is not None else ():
        try:
            curve, other = _curve(project, name, column, started)
        except (Refused, OSError):
            continue
        if other is None:
            return curve, None
    return NO_CURVE, why


def _curve(project: Project, name: str, column: str, started: Mapping[str, Any] | None) -> tuple[Curve, Message | None]:
    """The curve of one baseline, "" for none; or why the run can't be compared with it."""
    baseline = stored.read_baseline(project.layout, name) if name else None
    if baseline is None:
        return NO_CURVE, tr("slow convergence: no baseline is recorded; record one: {command}", command=RECORD)
    kept = baseline.get("curve")
    if not isinstance(kept, dict):
        text = tr("slow convergence: the baseline {name} has no loss curve; add one: {command}",
                  name=name, command=RECORD)  # fmt: skip
        return NO_CURVE, text
    try:
        curve = curve_of(kept)
    except ValueError:
        return NO_CURVE, tr("slow convergence: the loss curve of the baseline {name} can't be read; record it again: "
                            "{command}", name=name, command=RECORD)  # fmt: skip
    if why := curve_differences(kept, column, started):
        return NO_CURVE, tr("slow convergence: the loss curve of the baseline {name} can't be compared with: {reason}",
                            name=name, reason=joined(", ", why))  # fmt: skip
    return curve, None


def first_event(events: tuple[Mapping[str, Any], ...]) -> Mapping[str, Any]:
    """The newest event by which the run said what it measures on; empty where there is none."""
    said = (event for event in reversed(events) if "measured_on" in event)
    begun = (event for event in events if event["event"] == STARTED)
    return next(said, next(begun, {}))
