"""Run the detectors over the rows of a run, and turn their alarms into evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from atftctl.decide.detectors import bank, cusum, explosion, leak, non_finite, slow, spike, step_time
from atftctl.decide.detectors.middle import median
from atftctl.domain.diagnosis import Evidence, Strength
from atftctl.domain.finding import Finding
from atftctl.domain.record import record
from atftctl.domain.run_rows import Row, RunRows
from atftctl.protocol.messages import Message, tr, trn

SAMPLE = 200  # rows whose distance is the usual one

# What an alarm speaks for, by detector: the detector of a symptom, and how strongly.
SPEAKS_FOR: Mapping[str, tuple[str, Strength]] = {
    non_finite.NAME: ("anomaly", "strong"),
    explosion.NAME: ("anomaly", "strong"),
    cusum.NAME: ("anomaly", "strong"),
    explosion.LIMIT_NAME: ("anomaly", "weak"),
    slow.NAME: ("slower", "strong"),
    leak.NAME: ("leak", "weak"),
    step_time.NAME: ("", "note"),
    spike.NAME: ("", "note"),
}


@record
class Detected:
    """What the detectors say. `findings`: the alarms in the order of their steps. `active`: detectors whose alarm has
    not ended. `ready`: by role of a column, has enough of it been seen?"""

    rules: bank.Rules
    state: bank.State
    findings: tuple[Finding, ...]
    active: tuple[str, ...]
    ready: Mapping[str, bool]


def detect(rules: bank.Rules, rows: RunRows) -> Detected:
    """Feed all rows of a run to the detectors. Where rows between them are left out, that of memory gets evenly spread
    ones: it fits a line, which would bend where each row is kept."""
    state, findings = bank.State(), list[Finding]()
    thinned = rows.count > len(rows.rows)
    others = replace(rules, memory="") if thinned else rules
    for row in rows.rows:
        state, found = bank.take(others, state, row)
        findings += found
    if thinned:
        state = _with_memory(rules, state, rows.rows, findings)
    return Detected(rules, state, tuple(findings), bank.active(rules, state), bank.ready(rules, state))


def _with_memory(rules: bank.Rules, state: bank.State, rows: Sequence[Row], findings: list[Finding]) -> bank.State:
    """The state with that of memory, from rows whose steps are about equally far apart."""
    memory = leak.LeakState()
    for row in evenly(rows):
        value = row.values.get(rules.memory)
        if value is not None and math.isfinite(value):
            memory, finding = leak.take(memory, rules.memory, row.step, value, rules.limits.leak_growth)
            findings += [finding] if finding else []
    findings.sort(key=lambda finding: finding.step)
    return state._replace(memory=memory)


def evenly(rows: Sequence[Row]) -> Iterator[Row]:
    """Of rows whose older ones were thinned out, those that are about as far apart as these."""
    gap = distance(rows[:SAMPLE])
    following, last = -math.inf, -math.inf
    for row in rows:
        if row.step >= following or row.step < last:
            following = row.step + gap
            yield row
        last = row.step


def distance(rows: Sequence[Row]) -> float:
    """The usual number of steps from one row to the next; at least 1."""
    steps = [after.step - before.step for before, after in pairwise(rows)]
    return max(1.0, median(steps)) if steps else 1.0


def evidence(detected: Detected, memory_limit_mb: int = 0) -> list[Evidence]:
    """What the alarms speak for: of each detector and column the newest one. An alarm that has ended is a note.
    memory_limit_mb: of the trainer; 0 for none."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in detected.findings:
        groups.setdefault((finding.detector, finding.column), []).append(finding)
    signs = [_sign(detected, findings) for findings in groups.values()]
    return signs + _projection(detected, memory_limit_mb) + _quiet(detected)


def _sign(detected: Detected, findings: Sequence[Finding]) -> Evidence:
    """What the alarms of one detector on one column speak for."""
    name, text, count = findings[0].detector, findings[-1].text, len(findings)
    if name in detected.active and (strength := _strength(detected, name))[1] != "note":
        column = findings[-1].column
        return Evidence("metrics", strength[1], strength[0], text, detector=name, column=column)
    if name not in detected.active and name != spike.NAME:
        text = tr("{finding}; it has ended since", finding=text)
    if count > 1:
        text = trn("{count} alarm; the last: {finding}", "{count} alarms; the last: {finding}", count, finding=text)
    return Evidence("metrics", "note", "", text)


def _strength(detected: Detected, name: str) -> tuple[str, Strength]:
    """(what an alarm that lasts speaks for, how strongly). The gradient norm of a healthy trainer can be over its limit
    now and then, late in a run (measured): that speaks for something only where it is its usual value."""
    if rule := detected.rules.thresholds.get(name):
        return rule.symptom, "strong" if rule.symptom else "note"
    window = detected.state.gradient.window
    usual = math.exp(window.centre) if window.scale else math.inf
    if name == explosion.LIMIT_NAME and usual <= detected.rules.gradient_max:
        return "", "note"
    return SPEAKS_FOR[name]


def _projection(detected: Detected, limit_mb: int) -> list[Evidence]:
    """When memory that grows reaches its limit."""
    least = detected.rules.limits.leak_growth
    rate = leak.per_step(detected.state.memory, least) if leak.NAME in detected.active else 0.0
    if not limit_mb or rate <= 0:
        return []
    steps = max(0, round((limit_mb - detected.state.memory.minima[-1]) / rate))
    text = tr("at this rate memory reaches its limit of {limit:,} MB in {steps:,} steps", limit=limit_mb, steps=steps)
    return [Evidence("metrics", "weak", "leak", text, detector=leak.NAME, column=detected.rules.memory)]


def _quiet(detected: Detected) -> list[Evidence]:
    """What the metrics speak against: enough rows, and no alarm."""
    rules, ready, active = detected.rules, detected.ready, detected.active
    signs = []
    if ready.get("loss") and not {non_finite.NAME, explosion.NAME, cusum.NAME} & {*active}:
        signs.append(_against("anomaly", tr("{metric} is finite and at its usual level", metric=rules.loss)))
    if ready.get("memory") and leak.NAME not in active:
        signs.append(_against("leak", tr("{metric} does not grow", metric=rules.memory)))
    compared = detected.state.rows >= slow.RUNNING * slow.ROWS and rules.curve.at(detected.state.step) is not None
    if compared and slow.NAME not in active and ready.get("loss"):
        signs.append(_against("slower", tr("{metric} falls as in the baseline run", metric=rules.loss)))
    return signs


def _against(cause: str, text: Message) -> Evidence:
    return Evidence("metrics", "against", cause, text)
