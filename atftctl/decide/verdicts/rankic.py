"""Is RankIC back at the level of before? A paired comparison on the same dates, with three answers.

Margins and the rule: MODEL.md section 5. The interval is a stationary bootstrap (Politis and Romano 1994) with
the block length chosen from the data (Politis and White 2004, as in `arch`), at least as long as the horizon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from atftctl.domain.verdict import Check, Verdict

DRAWS = 2_000
SEED = 20240101
LEVEL = 0.95  # one-sided
DEGRADED = -0.02  # a mean difference that counts as a loss


def compare(
    now: Mapping[str, float], before: Mapping[str, float], *, margin: float, min_dates: int, horizon: int
) -> Check:
    """`now` and `before`: RankIC by date. Pass: the lower bound of the mean difference is above -margin."""
    name = f"RankIC@{horizon}d"
    dates = sorted(
        date for date in now.keys() & before.keys() if math.isfinite(now[date]) and math.isfinite(before[date])
    )
    if len(dates) < min_dates:
        return Check(
            name,
            Verdict.INCONCLUSIVE,
            f"{len(dates)} dates in common; {min_dates} are needed",
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
            "the interval needs the package arch: pip install 'atftctl[trainer]'",
            figures,
        )
    lower, upper = bounds
    figures |= {"lower": lower, "upper": upper, "margin": margin}
    verdict = judge(mean, lower, upper, margin)
    words = f"{figures['now']:.4f} against {figures['baseline']:.4f}, difference {mean:+.4f} "
    words += f"[{lower:+.4f}, {upper:+.4f}], {len(dates)} dates"
    if verdict is Verdict.INCONCLUSIVE:
        words += f"; about {dates_needed(mean, lower, margin, len(dates))} dates would settle it"
    return Check(name, verdict, words, figures)


def judge(mean: float, lower: float, upper: float, margin: float) -> Verdict:
    """ "Not significant" is not "restored": what is neither shown to be back nor shown to be lost stays open."""
    if lower > -margin:
        return Verdict.PASS
    if upper < 0 and mean <= DEGRADED:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE


def interval(differences: list[float], horizon: int) -> tuple[float, float] | None:
    """One-sided 95 % bounds of the mean, lower and upper; None without `arch`."""
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
    """How many dates would bring the lower bound above -margin, if mean and spread stay: the bound shrinks with √n."""
    reach, room = mean - lower, mean + margin
    if room <= 0:
        reach, room = mean - lower, max(-mean, 1e-9)  # then it is the loss that would be settled
    return math.ceil(dates * (reach / room) ** 2)
