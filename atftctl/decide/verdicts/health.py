"""Is a running trainer healthy? Judged over a window of its own words: verdicts have three values.

Thresholds: MODEL.md section 4 (explosion, sustained divergence, memory leak).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.metrics_window import Window
from atftctl.domain.text import listed
from atftctl.domain.verdict import Verdict

WARM_UP = 64  # rows that the others are held against
DRIFT, LIMIT, CLIP = 0.5, 20.0, 6.0  # of the one-sided CUSUM of the robust z
MOST = 0.9  # of the rows
NEEDED = ("loss_rel", "grad_norm")  # what is not there is not known to be well
LEAK_ROWS, LEAK_GROWTH = 300, 1.02
FIRST, WORTHLESS, MULTIPLE = 10, 2.0, 10.0
OF, AT_LEAST = 5, 3  # three of five rows over the limit are an explosion; a single spike never is


def judge(seen: Window, *, steps: int, grad_norm_max: float, leak: bool = False) -> tuple[Verdict, str]:
    """And the words for it. `steps`: fewer are too few to pass. `leak`: memory is what is asked about."""
    wrong = _ended(seen) or _numbers(seen, grad_norm_max) or (_grows(seen) if leak else "")
    if wrong:
        return Verdict.FAIL, wrong
    if seen.steps < steps:
        return Verdict.INCONCLUSIVE, f"{seen.steps} of {steps} steps were seen, none of them bad"
    if missing := [name for name in NEEDED if not _known(seen, name)]:
        return Verdict.INCONCLUSIVE, f"{seen.steps} steps, but nothing is known of {listed(missing, 3)}"
    if leak and len(seen.column("rss_mb")) < LEAK_ROWS:
        return Verdict.INCONCLUSIVE, f"{len(seen.column('rss_mb'))} of the {LEAK_ROWS} rows that show a leak"
    return Verdict.PASS, f"{seen.steps} steps, all finite, nothing grows"


def _known(seen: Window, name: str) -> bool:
    """Is this column there, in nearly every row?"""
    return len(seen.column(name)) >= max(1, MOST * len(seen.rows))


def _ended(seen: Window) -> str:
    if seen.fatal:
        return cause(seen.fatal)
    if not seen.alive:
        return "the trainer ended without a word"
    return f"no sign of life for {seen.silent_s:.0f} s" if seen.silent_s is not None else ""


def _numbers(seen: Window, grad_norm_max: float) -> str:
    for name in ("loss", "loss_rel", "grad_norm"):
        values = seen.column(name)
        if not all(map(math.isfinite, values)):
            return f"{name} is not finite"
    return (
        _explodes(seen.column("grad_norm"), grad_norm_max)
        or _worthless(seen.column("loss_rel"))
        or _drifts(seen.column("loss_rel"))
        or ("" if _known(seen, "loss_rel") else _drifts(seen.column("loss")) or _multiplied(seen.column("loss")))
    )


def _explodes(norms: Sequence[float], most: float) -> str:
    """Over the limit, and over twice what it was at first: fresh weights under the ranking loss begin at 20 to 100
    (measured), and are well."""
    most = max(most, 2 * median(norms[:FIRST])) if norms else most
    for at in range(len(norms) - OF + 1):
        high = [norm for norm in norms[at : at + OF] if norm > most]
        if len(high) >= AT_LEAST:
            return f"the gradient norm is over {most:.3g} in {len(high)} of {OF} rows (up to {max(high):.3g})"
    return ""


def _worthless(values: Sequence[float]) -> str:
    """The loss is given relative to that of predicting nothing, which is 1."""
    now = median(values[-OF:]) if len(values) >= OF else 0.0
    return f"the loss is {now:.3g} times that of predicting nothing" if now > WORTHLESS else ""


def _drifts(values: Sequence[float]) -> str:
    """One-sided CUSUM of the robust z of log(loss_rel), against its first rows. A loss alone serves, too, where it is
    positive throughout."""
    if min(values, default=1.0) <= 0:
        return ""
    logs = [math.log(max(value, 1e-12)) for value in values]
    first, rest = logs[:WARM_UP], logs[WARM_UP:]
    if not rest:
        return ""
    middle = median(first)
    scale = max(1.4826 * median(abs(one - middle) for one in first), 1e-9)
    total = 0.0
    for one in rest:
        total = max(0.0, total + min((one - middle) / scale, CLIP) - DRIFT)
        if total > LIMIT:
            return f"the loss grows: {math.exp(middle):.4g} at first, {values[-1]:.4g} now"
    return ""


def _multiplied(values: Sequence[float]) -> str:
    """A loss whose scale is not known: its last rows against its first, however few there are between."""
    if len(values) < FIRST + OF:
        return ""
    before, now = median(values[:FIRST]), median(values[-OF:])
    return f"the loss grows: {before:.4g} at first, {now:.4g} now" if 0 < before * MULTIPLE < now else ""


def _grows(seen: Window) -> str:
    """Minima over ten rows, the first third dropped (allocators fill up): the last ones against those before."""
    values = seen.column("rss_mb")
    lows = [min(values[at : at + 10]) for at in range(0, len(values) - 9, 10)]
    lows = lows[len(lows) // 3 :]
    half = len(lows) // 2
    if len(values) < LEAK_ROWS or not half:
        return ""
    before, after = median(lows[:half]), median(lows[half:])
    if after > before * LEAK_GROWTH and all(one > before for one in lows[-3:]):
        return f"memory grows: {before:.0f} MB, then {after:.0f} MB"
    return ""
