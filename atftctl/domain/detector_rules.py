"""The detectors that `diagnose` has, and the rules that a runbook adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from atftctl.domain.record import record

# The detectors that atftctl has itself, see docs/explanation/statistics.md.
DETECTORS = (
    "non-finite", "explosion", "gradient-limit", "drift", "spike", "leak", "step-time", "slower", "hang",
)  # fmt: skip


@record
class Detection:
    """The thresholds of the detectors that atftctl has itself. A greater one means fewer alarms, and later ones.

    `explosion_k`: robust standard deviations above the median. `gradient_times`: how many times its first values a
    gradient norm may be, where that is above `checks.grad_norm_max`. `drift_h`: the sum of excesses, in robust standard
    deviations. `leak_growth`: share by which memory grows. `step_time_ratio`: of the medians of the newest and of the
    first steps. `slower_share`: of the baseline's gain. `hang_s`: seconds without a step, at least."""

    explosion_k: float = 6.0
    gradient_times: float = 2.0
    drift_h: float = 20.0
    leak_growth: float = 0.02
    step_time_ratio: float = 1.2
    slower_share: float = 0.05
    hang_s: float = 60.0


# The range of each threshold in which a detector makes sense.
RANGES: Mapping[str, tuple[float, float]] = {
    "explosion_k": (3.0, 100.0),
    "gradient_times": (1.0, 1000.0),
    "drift_h": (5.0, 1000.0),
    "leak_growth": (0.001, 10.0),
    "step_time_ratio": (1.01, 100.0),
    "slower_share": (0.001, 10.0),
    "hang_s": (1.0, 86400.0),
}


@record
class DetectorRule:
    """A rule of the runbook's own: the column `metric` is above or below a limit for `rows` rows in a row (in the file,
    the key is `for`). `symptom`: the one that it speaks for; "" for none."""

    metric: str
    above: float | None = None
    below: float | None = None
    rows: int = field(default=1, metadata={"key": "for"})
    symptom: str = ""
