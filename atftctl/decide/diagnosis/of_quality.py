"""What the newest evaluation of the trainer speaks for, compared with the baseline on the same dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atftctl import protocol
from atftctl.domain.diagnosis import Evidence, Observed, Strength
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import Message, tr

NAME = "quality"  # also the detector of a symptom
STRENGTHS: dict[Verdict, Strength] = {Verdict.FAIL: "strong", Verdict.PASS: "against"}


def missing(events: Sequence[Mapping[str, Any]], column: str, title: str) -> Message | str:
    """Why the newest evaluation of a run has no value of the quality, though it measures it: NaN, as of a model whose
    forecasts are all the same. "" where it has one. `column`: of the quality; "" where the trainer has none."""
    empty: Mapping[str, Any] = {}
    event = next((event for event in reversed(events) if event["event"] == protocol.EVALUATED), empty)
    if not column or column not in event or protocol.is_number(event[column]):
        return ""
    return tr("the newest evaluation has no value of {metric}: {value} in step {step}",
              metric=title, value=str(event[column])[:20], step=event.get("step", "?"))  # fmt: skip


def evidence(seen: Observed) -> list[Evidence]:
    """One sign: the quality is worse than the baseline's by more than its margin, and surely worse, or it surely is
    not; none where neither can be said."""
    check = seen.quality
    if check is None or check.verdict not in STRENGTHS:
        return []
    text = tr("the newest evaluation: {metric}: {detail}", metric=check.name, detail=check.detail)
    return [Evidence("events", STRENGTHS[check.verdict], NAME, text, detector=NAME, column=check.name)]
