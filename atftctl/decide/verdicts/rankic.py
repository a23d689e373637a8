"""Is RankIC back at the baseline's level? A paired comparison on the same dates, with three possible answers.

The interval is a stationary bootstrap (Politis and Romano 1994) with
the block length chosen from the data (Politis and White 2004, as in `arch`), at least as long as the horizon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol.messages import Message, joined, tr

DRAWS = 2_000
SEED = 20240101
LEVEL = 0.95  # one-sided
DEGRADED = -0.02  # a mean difference that counts as a loss


def compare(
    now: Mapping[str, float], before: Mapping[str, float], *, margin: float, min_dates: int, horizon: int
) -> Check:
    """Compare RankIC by date; pass where the lower bound of the mean difference is above -margin.
    `min_dates`: inconclusive with fewer dates. `horizon`: of the labels, in days."""
    name = f"RankIC@{horizon}d"
    dates = sorted(
        date for date in now.keys() & before.keys() if math.isfinite(now[date]) and math.isfinite(before[date])
    )
    if len(dates) < min_dates:
        return Check(
            name,
            Verdict.INCONCLUSIVE,
            tr("{dates} dates in common; {needed} are needed", dates=len(dates), needed=min_dates),
            {"dates": len(dates)},
        )
    differences = [now[date] - before[date] for date in dates]
    mean = math.fsum(differences) / len(differences)
    bounds = interval(differences, horizon)
    figures = {
        "dates": len(dates),
        "now": math.fsum(now[date] for date in dates) / len(dates),
        "baseline": math.fsum(before[date] for date in dates) / len(dates),
        "difference": mean,
    }
    if bounds is None:
        return Check(
            name,
            Verdict.INCONCLUSIVE,
            tr("the confidence interval needs the package arch: pip install 'atftctl[trainer]'"),
            figures,
        )
    lower, upper = bounds
    figures |= {"lower": lower, "upper": upper, "margin": margin}
    verdict = judge(mean, lower, upper, margin)
    detail = _describe(figures)
    if verdict is Verdict.INCONCLUSIVE:
        needed = dates_needed(mean, lower, margin, len(dates))
        detail = joined("; ", [detail, tr("a verdict needs about {dates} dates", dates=needed)])
    return Check(name, verdict, detail, figures)


def _describe(figures: Mapping[str, float]) -> Message:
    return tr(
        "{now:.4f}, baseline {baseline:.4f}, difference {difference:+.4f} [{lower:+.4f}, {upper:+.4f}], {dates} dates",
        **{key: figures[key] for key in ("now", "baseline", "difference", "lower", "upper", "dates")},
    )


def judge(mean: float, lower: float, upper: float, margin: float) -> Verdict:
    """Judge a mean difference with its bounds. "Not significant" does not mean "restored": what is neither shown to be
    restored nor shown to be lost is inconclusive."""
    if lower > -margin:
        return Verdict.PASS
    if upper < 0 and mean <= DEGRADED:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE


def interval(differences: list[float], horizon: int) -> tuple[float, float] | None:
    """Return the one-sided 95 % bounds of the mean, lower and upper; None where `arch` is not installed."""
    if max(differences) == min(differences):
        return differences[0], differences[0]  # no spread, no bootstrap
    try:
        import numpy as np
        from arch.bootstrap import StationaryBootstrap, optimal_block_length
    except ImportError:
        return None
    values = np.asarray(differences)
    block = max(float(optimal_block_length(values)["stationary"].iloc[0]), float(horizon), 1.0)
    bootstrap = StationaryBootstrap(block, values, seed=SEED)
    means = bootstrap.apply(lambda sample: sample.mean(), DRAWS)
    return float(np.quantile(means, 1 - LEVEL)), float(np.quantile(means, LEVEL))


def dates_needed(mean: float, lower: float, margin: float, dates: int) -> int:
    """Estimate how many dates would decide the verdict if mean and spread stay: the interval shrinks with √n."""
    reach, room = mean - lower, mean + margin
    if room <= 0:
        reach, room = mean - lower, max(-mean, 1e-9)  # more dates would show the loss
    return math.ceil(dates * (reach / room) ** 2)
