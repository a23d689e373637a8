"""Is a running trainer healthy? Judged by a window of its own metrics and events, with three possible verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from atftctl.decide.detectors import cusum, explosion, non_finite, series
from atftctl.decide.detectors import leak as leaks
from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.metrics_window import Window
from atftctl.domain.text import listed
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import tr

MOST = 0.9  # of the rows must have a column for it to count as known
NEEDED = ("loss_rel", "grad_norm")  # columns without which a trainer is not known to be healthy
LEAK_ROWS = leaks.ROWS  # that a leak needs to show
FIRST = explosion.FIRST  # rows that show how a run began
WORTHLESS, MULTIPLE = 2.0, 10.0  # times the loss of predicting nothing; times the loss at the beginning
OF = explosion.OF  # the last rows


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
    for name in ("loss", "loss_rel"):
        if not all(map(math.isfinite, seen.column(name))):
            return tr("{metric} is not finite", metric=name)
    norms = seen.column("grad_norm")
    finite = [norm for norm in norms if math.isfinite(norm)]
    if (norms and not finite) or _lasts(norms):
        return tr("{metric} is not finite", metric="grad_norm")
    return (
        _explodes(finite, grad_norm_max)
        or _worthless(seen.column("loss_rel"))
        or _drifts(seen.column("loss_rel"))
        or ("" if _known(seen, "loss_rel") else _drifts(seen.column("loss")) or _multiplied(seen.column("loss")))
    )


def _lasts(norms: Sequence[float]) -> bool:
    """Are many norms in a row not finite? Training with 16-bit floats skips single ones, and goes on."""
    rows = 0
    for norm in norms:
        rows = 0 if math.isfinite(norm) else rows + 1
        if non_finite.alarmed(rows):
            return True
    return False


def _explodes(norms: Sequence[float], most: float) -> str:
    """Gradient norms above the limit, and above twice what they were at first."""
    state = explosion.LimitState()
    for step, norm in enumerate(norms, 1):
        state, finding = explosion.take_limit(state, tr("the gradient norm"), step, value=norm, most=most)
        if finding:
            return finding.text
    return ""


def _worthless(values: Sequence[float]) -> str:
    """A loss that is worse than predicting nothing, whose relative loss is 1."""
    now = median(values[-OF:]) if len(values) >= OF else 0.0
    return tr("the loss is {times:.3g} times that of predicting nothing", times=now) if now > WORTHLESS else ""


def _drifts(values: Sequence[float]) -> str:
    """A lasting growth of the loss, which must be positive."""
    if min(values, default=1.0) <= 0:
        return ""
    state = series.Series()
    for step, value in enumerate(values, 1):
        usual = state.window.centre
        state = series.take(state, "", step, value, [], is_loss=True)
        if cusum.alarmed(state.total):
            return _growing(math.exp(usual), values[-1])
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
    """Memory that surely grows; see decide/detectors/leak.py."""
    values = seen.column("rss_mb")
    if len(values) < LEAK_ROWS:
        return ""
    lows = [min(values[at : at + leaks.WIDTH]) for at in range(0, len(values) - leaks.WIDTH + 1, leaks.WIDTH)]
    if leaks.growth(tuple(lows)) is None:
        return ""
    return tr("memory grows: {before:.0f} MB, later {after:.0f} MB", before=lows[len(lows) // 3], after=lows[-1])
