"""Is a running trainer healthy? Judged by a window of its own metrics and events, with three possible verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.metrics_window import Window
from atftctl.domain.text import listed
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import tr

WARM_UP = 64  # the first rows, with which the others are compared
DRIFT, LIMIT, CLIP = 0.5, 20.0, 6.0  # of the one-sided CUSUM of the robust z
MOST = 0.9  # of the rows must have a column for it to count as known
NEEDED = ("loss_rel", "grad_norm")  # columns without which a trainer is not known to be healthy
LEAK_ROWS, LEAK_GROWTH = 300, 1.02  # rows that a leak needs to show; growth that counts as one
FIRST = 10  # rows that show how a run began
WORTHLESS, MULTIPLE = 2.0, 10.0  # times the loss of predicting nothing; times the loss at the beginning
OF, AT_LEAST = 5, 3  # three of five rows above the limit are an explosion; a single spike never is


def judge(seen: Window, *, steps: int, grad_norm_max: float, leak: bool = False) -> tuple[Verdict, str]:
    """Return the verdict and the reason for it.

    `steps`: with fewer steps a trainer can't pass. `grad_norm_max`: the limit of the gradient norm. `leak`: also judge
    the growth of memory.
    """
    wrong = _ended(seen) or _numbers(seen, grad_norm_max) or (_grows(seen) if leak else "")
    if wrong:
        return Verdict.FAIL, wrong
    if seen.steps < steps:
        return Verdict.INCONCLUSIVE, tr(
            "{seen} of {steps} steps so far, none of them bad", seen=seen.steps, steps=steps
        )
    if missing := [name for name in NEEDED if not _known(seen, name)]:
        return Verdict.INCONCLUSIVE, tr(
            "{steps} steps, but without values of {columns}", steps=seen.steps, columns=listed(missing, 3)
        )
    if leak and len(seen.column("rss_mb")) < LEAK_ROWS:
        return Verdict.INCONCLUSIVE, tr(
            "{rows} of the {needed} rows that are needed to show a leak",
            rows=len(seen.column("rss_mb")),
            needed=LEAK_ROWS,
        )
    return Verdict.PASS, tr("{steps} steps, all finite, nothing grows", steps=seen.steps)


def _known(seen: Window, name: str) -> bool:
    """Does nearly every row have this column?"""
    return len(seen.column(name)) >= max(1, MOST * len(seen.rows))


def _ended(seen: Window) -> str:
    """Say how the trainer ended, or that it is silent; empty where it runs."""
    if seen.fatal:
        return cause(seen.fatal)
    if not seen.alive:
        return tr("the trainer ended without a final event")
    return tr("no sign of life for {seconds:.0f} s", seconds=seen.silent_s) if seen.silent_s is not None else ""


def _numbers(seen: Window, grad_norm_max: float) -> str:
    """Say what is wrong with the metrics; empty where nothing is."""
    for name in ("loss", "loss_rel", "grad_norm"):
        values = seen.column(name)
        if not all(map(math.isfinite, values)):
            return tr("{metric} is not finite", metric=name)
    return (
        _explodes(seen.column("grad_norm"), grad_norm_max)
        or _worthless(seen.column("loss_rel"))
        or _drifts(seen.column("loss_rel"))
        or ("" if _known(seen, "loss_rel") else _drifts(seen.column("loss")) or _multiplied(seen.column("loss")))
    )


def _explodes(norms: Sequence[float], most: float) -> str:
    """Gradient norms above the limit, and above twice what they were at first.

    A healthy run from new weights under the ranking loss begins at 20 to 100 (measured).
    """
    most = max(most, 2 * median(norms[:FIRST])) if norms else most
    for at in range(len(norms) - OF + 1):
        high = [norm for norm in norms[at : at + OF] if norm > most]
        if len(high) >= AT_LEAST:
            return tr(
                "the gradient norm is above {limit:.3g} in {high} of {rows} rows (up to {highest:.3g})",
                limit=most,
                high=len(high),
                rows=OF,
                highest=max(high),
            )
    return ""


def _worthless(values: Sequence[float]) -> str:
    """A loss that is worse than predicting nothing, whose relative loss is 1."""
    now = median(values[-OF:]) if len(values) >= OF else 0.0
    return tr("the loss is {times:.3g} times that of predicting nothing", times=now) if now > WORTHLESS else ""


def _drifts(values: Sequence[float]) -> str:
    """A lasting growth of the loss: one-sided CUSUM of the robust z of log(loss_rel), compared with its first rows.

    Works for the plain loss, too, if it is always positive.
    """
    if min(values, default=1.0) <= 0:
        return ""
    logs = [math.log(max(value, 1e-12)) for value in values]
    first, rest = logs[:WARM_UP], logs[WARM_UP:]
    if not rest:
        return ""
    middle = median(first)
    scale = max(1.4826 * median(abs(value - middle) for value in first), 1e-9)
    total = 0.0
    for value in rest:
        total = max(0.0, total + min((value - middle) / scale, CLIP) - DRIFT)
        if total > LIMIT:
            return _growing(math.exp(middle), values[-1])
    return ""


def _multiplied(values: Sequence[float]) -> str:
    """A loss of unknown scale whose last rows are many times its first ones."""
    if len(values) < FIRST + OF:
        return ""
    before, now = median(values[:FIRST]), median(values[-OF:])
    return _growing(before, now) if 0 < before * MULTIPLE < now else ""


def _growing(before: float, now: float) -> str:
    return tr("the loss grows: {before:.4g} at first, {now:.4g} now", before=before, now=now)


def _grows(seen: Window) -> str:
    """Memory that grows: minima over ten rows, without the first third, the later half compared with the earlier.

    The first third is left out because allocators fill up at first.
    """
    values = seen.column("rss_mb")
    lows = [min(values[at : at + 10]) for at in range(0, len(values) - 9, 10)]
    lows = lows[len(lows) // 3 :]
    half = len(lows) // 2
    if len(values) < LEAK_ROWS or not half:
        return ""
    before, after = median(lows[:half]), median(lows[half:])
    if after > before * LEAK_GROWTH and all(low > before for low in lows[-3:]):
        return tr("memory grows: {before:.0f} MB, later {after:.0f} MB", before=before, after=after)
    return ""
