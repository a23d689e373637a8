"""Run the detectors over the rows of a run, and turn their alarms into evidence."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.decide.detectors import bank, cusum, explosion, leak, non_finite, slow, spike, step_time
from atftctl.decide.detectors.finding import Finding
from atftctl.domain.diagnosis import Evidence, Strength
from atftctl.domain.record import record
from atftctl.domain.run_rows import RunRows
from atftctl.protocol.messages import Message, tr

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
MOST_SPIKES = 3  # that are shown


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
    """Feed all rows of a run to the detectors."""
    state, findings = bank.State(), list[Finding]()
    for row in rows.rows:
        state, found = bank.take(rules, state, row)
        findings += found
    return Detected(rules, state, tuple(findings), bank.active(rules, state), bank.ready(rules, state))


def evidence(detected: Detected, memory_limit_mb: int = 0) -> list[Evidence]:
    """What the alarms speak for. An alarm that has ended is a note. memory_limit_mb: of the trainer; 0 for none."""
    signs, spikes = list[Evidence](), 0
    for finding in detected.findings:
        rule = detected.rules.thresholds.get(finding.detector)
        cause, strength = (rule.symptom, "strong" if rule.symptom else "note") if rule else SPEAKS_FOR[finding.detector]
        text: str = finding.text
        if finding.detector == spike.NAME:
            spikes += 1
            if spikes > MOST_SPIKES:
                continue
        elif finding.detector not in detected.active:
            cause, strength, text = "", "note", tr("{finding}; it has ended since", finding=finding.text)
        signs.append(Evidence("metrics", strength, cause, text))  # type: ignore[arg-type]
    return signs + _projection(detected, memory_limit_mb) + _quiet(detected)


def _projection(detected: Detected, limit_mb: int) -> list[Evidence]:
    """When memory that grows reaches its limit."""
    rate = leak.per_step(detected.state.memory) if leak.NAME in detected.active else 0.0
    if not limit_mb or rate <= 0:
        return []
    steps = max(0, round((limit_mb - detected.state.memory.minima[-1]) / rate))
    text = tr("at this rate memory reaches its limit of {limit:,} MB in {steps:,} steps", limit=limit_mb, steps=steps)
    return [Evidence("metrics", "weak", "leak", text)]


def _quiet(detected: Detected) -> list[Evidence]:
    """What the metrics speak against: enough rows, and no alarm."""
    rules, ready, active = detected.rules, detected.ready, detected.active
    signs = []
    if ready.get("loss") and not {non_finite.NAME, explosion.NAME, cusum.NAME, explosion.LIMIT_NAME} & {*active}:
        signs.append(_against("anomaly", tr("{metric} is finite and at its usual level", metric=rules.loss)))
    if ready.get("memory") and leak.NAME not in active:
        signs.append(_against("leak", tr("{metric} does not grow", metric=rules.memory)))
    if rules.curve.steps and slow.NAME not in active and ready.get("loss"):
        signs.append(_against("slower", tr("{metric} falls as in the baseline run", metric=rules.loss)))
    return signs


def _against(cause: str, text: Message) -> Evidence:
    return Evidence("metrics", "against", cause, text)
