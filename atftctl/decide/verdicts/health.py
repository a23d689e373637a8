"""Is a running trainer healthy? Judged by a window of its own metrics and events, with three possible verdicts.

Which columns are looked at, from which values on they are bad, and the rules beside that, come from the runbook.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from atftctl.decide.detectors import cusum, explosion, non_finite, series, threshold
from atftctl.decide.detectors import leak as leaks
from atftctl.decide.detectors.bank import Rules
from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.metrics_window import Window
from atftctl.domain.text import listed
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import tr

MOST = 0.9  # of the rows of training steps must have a column for it to count as known
LEAK_ROWS = leaks.ROWS  # that a leak needs to show
FIRST, MULTIPLE = explosion.FIRST, 10.0  # rows that show how a run began; times the loss at the beginning
OF = explosion.OF  # the last rows


def judge(seen: Window, rules: Rules, *, steps: int, leak: bool = False) -> tuple[Verdict, str]:
    """Return the verdict and the reason for it.

    `rules`: the columns, and the limits. `steps`: with fewer steps a trainer can't pass. `leak`: also judge the growth
    of memory.
    """
    wrong = _ended(seen) or _numbers(seen, rules) or (_grows(seen, rules) if leak else "")
    if wrong:
        return Verdict.FAIL, wrong
    if seen.steps < steps:
        return Verdict.INCONCLUSIVE, tr(
            "{seen} of {steps} steps so far, none of them bad", seen=seen.steps, steps=steps
        )
    if unknown := _unknown(seen, rules, leak=leak):
        return Verdict.INCONCLUSIVE, unknown
    return Verdict.PASS, tr("{steps} steps, all finite, nothing grows", steps=seen.steps)


def _unknown(seen: Window, rules: Rules, *, leak: bool) -> str:
    """Say what is not known of a trainer whose steps are not bad as far as can be seen; empty where all is known."""
    if not rules.loss:
        return tr("the runbook does not say which column of the metrics is the loss; set metrics.loss")
    if missing := [name for name in (rules.loss, rules.gradient) if name and not is_known(seen, rules, name)]:
        return tr("{steps} steps, but without values of {columns}", steps=seen.steps, columns=listed(missing, 3))
    if not leak:
        return ""
    if not rules.memory:
        return tr("the runbook does not say which column of the metrics is the memory; set metrics.memory")
    if (rows := len(seen.column(rules.memory))) < LEAK_ROWS:
        return tr("{rows} of the {needed} rows that are needed to show a leak", rows=rows, needed=LEAK_ROWS)
    return ""


def is_known(seen: Window, rules: Rules, name: str) -> bool:
    """Does nearly every row of a training step have this column? A row of an evaluation may have none of them."""
    roles = [role for role in (rules.loss, rules.gradient, rules.memory, rules.step_time) if role]
    rows = sum(any(row.get(role) for role in roles) for row in seen.rows)
    return len(seen.column(name)) >= max(1, MOST * rows)


def _ended(seen: Window) -> str:
    """Say how the trainer ended, or that it is silent; empty where it runs."""
    if seen.fatal:
        return cause(seen.fatal)
    if not seen.alive:
        return tr("the trainer ended without a final event")
    return tr("no sign of life for {seconds:.0f} s", seconds=seen.silent_s) if seen.silent_s is not None else ""


def _numbers(seen: Window, rules: Rules) -> str:
    """Say what is wrong with the metrics; empty where nothing is."""
    losses, norms = seen.column(rules.loss), seen.column(rules.gradient)
    finite = [norm for norm in norms if math.isfinite(norm)]
    if not all(map(math.isfinite, losses)):
        return tr("{metric} is not finite", metric=rules.loss)
    if (norms and not finite) or _lasts(norms):
        return tr("{metric} is not finite", metric=rules.gradient)
    return (
        _explodes(finite, rules) or _over_limit(seen, rules) or _drifts(losses, rules) or _multiplied(losses)
    )  # fmt: skip


def _lasts(norms: Sequence[float]) -> bool:
    """Are many norms in a row not finite? Training with 16-bit floats skips single ones, and goes on."""
    rows = 0
    for norm in norms:
        rows = 0 if math.isfinite(norm) else rows + 1
        if non_finite.alarmed(rows):
            return True
    return False


def _explodes(norms: Sequence[float], rules: Rules) -> str:
    """Gradient norms above the limit, and above some times what they were at first."""
    state, times = explosion.LimitState(), rules.limits.gradient_times
    for step, norm in enumerate(norms, 1):
        state, finding = explosion.take_limit(
            state, tr("the gradient norm"), step, value=norm, most=rules.gradient_max, times=times
        )
        if finding:
            return finding.text
    return ""


def _over_limit(seen: Window, rules: Rules) -> str:
    """A rule of the runbook that speaks for a symptom, and holds in the last rows that have its column."""
    for name, rule in rules.thresholds.items():
        values = seen.column(rule.metric)[-rule.rows :]
        if not rule.symptom or len(values) < rule.rows:
            continue
        over, finding = 0, None
        for value in values:
            over, finding = threshold.take(over, name, rule, seen.last_step, value)
        if finding:
            return finding.text
    return ""


def _drifts(values: Sequence[float], rules: Rules) -> str:
    """A lasting growth of the loss, which must be positive."""
    if min(values, default=1.0) <= 0:
        return ""
    state = series.Series()
    for step, value in enumerate(values, 1):
        usual = state.window.centre
        state = series.take(state, "", step, value, [], is_loss=True, limits=rules.limits)
        if cusum.alarmed(state.total, rules.limits.drift_h):
            return _growing(math.exp(usual), values[-1])
    return ""


def _multiplied(values: Sequence[float]) -> str:
    """A loss whose last rows are many times its first ones."""
    if len(values) < FIRST + OF:
        return ""
    before, now = median(values[:FIRST]), median(values[-OF:])
    return _growing(before, now) if 0 < before * MULTIPLE < now else ""


def _growing(before: float, now: float) -> str:
    return tr("the loss grows: {before:.4g} at first, {now:.4g} now", before=before, now=now)


def _grows(seen: Window, rules: Rules) -> str:
    """Memory that surely grows; see decide/detectors/leak.py."""
    values = seen.column(rules.memory)
    if len(values) < LEAK_ROWS:
        return ""
    lows = [min(values[at : at + leaks.WIDTH]) for at in range(0, len(values) - leaks.WIDTH + 1, leaks.WIDTH)]
    if leaks.growth(tuple(lows), rules.limits.leak_growth) is None:
        return ""
    return tr("memory grows: {before:.0f} MB, later {after:.0f} MB", before=lows[len(lows) // 3], after=lows[-1])
