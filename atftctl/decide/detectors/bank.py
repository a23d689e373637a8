"""All detectors of one run: a state, and a function that takes the next row. Which column each watches comes from the
runbook. The state begins anew with each generation of the trainer: an alarm that outlives a restart would stop every
run that follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple

from atftctl.decide.detectors import cusum, explosion, leak, non_finite, series, slow, spike, step_time, threshold
from atftctl.domain.detector_rules import Detection, DetectorRule
from atftctl.domain.finding import Finding
from atftctl.domain.record import record
from atftctl.domain.run_rows import Row
from atftctl.domain.runbook import Runbook

NO_CURVE = slow.Curve()


@record
class Rules:
    """What the detectors watch. The columns are "" where the trainer has none of this role. `gradient_max`: the limit
    of the gradient norm. `curve`: the loss of a baseline run, empty where none is known. `limits`: the thresholds."""

    loss: str = ""
    gradient: str = ""
    memory: str = ""
    step_time: str = ""
    gradient_max: float = math.inf
    thresholds: Mapping[str, DetectorRule] = field(default_factory=dict)
    curve: slow.Curve = NO_CURVE
    limits: Detection = field(default_factory=Detection)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are needed."""
        own = (self.loss, self.gradient, self.memory, self.step_time)
        return tuple(dict.fromkeys(filter(None, (*own, *(rule.metric for rule in self.thresholds.values())))))


def rules_of(runbook: Runbook, curve: slow.Curve = NO_CURVE) -> Rules:
    """The rules of a runbook."""
    metrics = runbook.metrics
    return Rules(
        metrics.loss, metrics.gradient, metrics.memory, metrics.step_time, runbook.checks.grad_norm_max,
        runbook.detectors, curve, runbook.detection,
    )  # fmt: skip


class State(NamedTuple):
    """The state of all detectors. `rows`: of this generation so far; `step`: of the newest one."""

    generation: int = 0
    rows: int = 0
    step: int = 0
    loss: series.Series = series.Series()
    gradient: series.Series = series.Series()
    limit: explosion.LimitState = explosion.LimitState()
    memory: leak.LeakState = leak.LeakState()
    time: step_time.StepTimeState = step_time.StepTimeState()
    slow: slow.SlowState = slow.SlowState()
    over: Mapping[str, int] = {}  # by the name of the runbook's rule


Findings = tuple[Finding, ...]


def take(rules: Rules, state: State, row: Row) -> tuple[State, Findings]:
    """(the state after this row, the alarms that begin with it)."""
    if row.generation and row.generation != state.generation:
        state = State(generation=row.generation)
    found = list[Finding | None]()
    loss, slower = _loss(rules, state, row, found)
    gradient, limit = _gradient(rules, state, row, found)
    memory, time, over = state.memory, state.time, state.over
    value = row.values.get(rules.memory)
    if value is not None and math.isfinite(value):
        memory, finding = leak.take(memory, rules.memory, row.step, value, rules.limits.leak_growth)
        found.append(finding)
    value = row.values.get(rules.step_time)
    if value is not None and math.isfinite(value):
        time, finding = step_time.take(time, rules.step_time, row.step, value, rules.limits.step_time_ratio)
        found.append(finding)
    if rules.thresholds:
        over = _thresholds(rules, over, row, found)
    after = State(state.generation, state.rows + 1, row.step, loss, gradient, limit, memory, time, slower, over)
    return after, tuple(filter(None, found)) if any(found) else ()


def _loss(rules: Rules, state: State, row: Row, found: list[Finding | None]) -> tuple[series.Series, slow.SlowState]:
    value = row.values.get(rules.loss)
    if value is None:
        return state.loss, state.slow
    slower = state.slow
    losses = series.take(state.loss, rules.loss, row.step, value, found, is_loss=True, limits=rules.limits)
    if rules.curve.steps and math.isfinite(value):
        slower, finding = slow.take(slower, rules.curve, rules.loss, row.step, value, rules.limits.slower_share)
        found.append(finding)
    return losses, slower


def _gradient(
    rules: Rules, state: State, row: Row, found: list[Finding | None]
) -> tuple[series.Series, explosion.LimitState]:
    value = row.values.get(rules.gradient)
    if value is None:
        return state.gradient, state.limit
    limits, limit = rules.limits, state.limit
    norms = series.take(state.gradient, rules.gradient, row.step, value, found, is_loss=False, limits=limits)
    if math.isfinite(value):
        limit, finding = explosion.take_limit(
            limit, rules.gradient, row.step, value=value, most=rules.gradient_max, times=limits.gradient_times
        )
        found.append(finding)
    return norms, limit


def _thresholds(rules: Rules, over: Mapping[str, int], row: Row, found: list[Finding | None]) -> dict[str, int]:
    counts = dict(over)
    for name, rule in rules.thresholds.items():
        if (value := row.values.get(rule.metric)) is not None:
            counts[name], finding = threshold.take(counts.get(name, 0), name, rule, row.step, value)
            found.append(finding)
    return counts


def judging(rules: Rules, state: State, row: Row) -> tuple[str, ...]:
    """The names of the detectors that judge a value of this row: it has one, and they have seen enough before it."""
    loss, gradient = row.values.get(rules.loss), row.values.get(rules.gradient)
    compared = loss is not None and loss > 0 and bool(state.loss.window.scale)
    norms = gradient is not None and gradient > 0 and bool(state.gradient.window.scale)
    ready_for = ready(rules, state)
    names = {
        non_finite.NAME: loss is not None or gradient is not None,
        explosion.NAME: compared or norms,
        spike.NAME: compared or norms,
        cusum.NAME: compared,
        explosion.LIMIT_NAME: gradient is not None,
        leak.NAME: row.values.get(rules.memory) is not None and ready_for.get("memory", False),
        slow.NAME: loss is not None and rules.curve.at(row.step) is not None,
        step_time.NAME: row.values.get(rules.step_time) is not None and ready_for.get("step_time", False),
    }
    own = (name for name, rule in rules.thresholds.items() if row.values.get(rule.metric) is not None)
    return (*(name for name, judges in names.items() if judges), *own)


def active(rules: Rules, state: State) -> tuple[str, ...]:
    """The names of the detectors whose alarm has not ended. A single spike has no duration."""
    alarms = {
        non_finite.NAME: state.loss.bad > 0 or non_finite.alarmed(state.gradient.bad),
        explosion.NAME: explosion.alarmed(state.loss.votes) or explosion.alarmed(state.gradient.votes),
        explosion.LIMIT_NAME: explosion.alarmed(state.limit.votes),
        cusum.NAME: cusum.alarmed(state.loss.total, rules.limits.drift_h),
        leak.NAME: leak.alarmed(state.memory),
        step_time.NAME: state.time.slow,
        slow.NAME: slow.alarmed(state.slow),
    }
    over = [name for name, rule in rules.thresholds.items() if state.over.get(name, 0) >= rule.rows]
    return (*(name for name, alarm in alarms.items() if alarm), *over)


def ready(rules: Rules, state: State) -> Mapping[str, bool]:
    """By role of a column that is known: have the detectors seen enough of it to say that nothing is wrong?"""
    enough = {
        "loss": bool(state.loss.window.scale),
        "gradient": bool(state.gradient.window.scale),
        "memory": len(state.memory.minima) * state.memory.width >= leak.ROWS,
        "step_time": len(state.time.recent) >= step_time.STEPS,
    }
    return {role: ok for role, ok in enough.items() if getattr(rules, role)}
