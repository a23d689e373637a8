"""The detectors that `diagnose` has, and the rules that a runbook adds."""

from __future__ import annotations

from dataclasses import field

from atftctl.domain.record import record

# The detectors that atftctl has itself, see docs/explanation/statistics.md.
DETECTORS = (
    "non-finite", "explosion", "gradient-limit", "drift", "spike", "leak", "step-time", "slower", "hang",
)  # fmt: skip


@record
class DetectorRule:
    """A rule of the runbook's own: the column `metric` is above or below a limit for `rows` rows in a row (in the file,
    the key is `for`). `symptom`: the one that it speaks for; "" for none."""

    metric: str
    above: float | None = None
    below: float | None = None
    rows: int = field(default=1, metadata={"key": "for"})
    symptom: str = ""
