"""What the newest evaluation of the trainer speaks for, compared with the baseline on the same dates."""

from __future__ import annotations

from atftctl.domain.diagnosis import Evidence, Observed, Strength
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import tr

NAME = "quality"  # also the detector of a symptom
STRENGTHS: dict[Verdict, Strength] = {Verdict.FAIL: "strong", Verdict.PASS: "against"}


def evidence(seen: Observed) -> list[Evidence]:
    """One sign: the quality is below the baseline's by more than its margin, and surely below it, or it surely is not;
    none where neither can be said."""
    check = seen.quality
    if check is None or check.verdict not in STRENGTHS:
        return []
    text = tr("the newest evaluation: {metric}: {detail}", metric=check.name, detail=check.detail)
    return [Evidence("events", STRENGTHS[check.verdict], NAME, text, detector=NAME, column=check.name)]
