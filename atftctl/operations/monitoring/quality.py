"""The quality of the model in training: each evaluation of the trainer, compared with the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atftctl import protocol
from atftctl.decide.diagnosis import of_quality
from atftctl.decide.verdicts.quality import compared, paired_by, values_of
from atftctl.domain.errors import Refused
from atftctl.domain.probe_answer import Answer, read
from atftctl.domain.verdict import Check
from atftctl.operations.project import Project
from atftctl.protocol import is_number
from atftctl.state import baseline as stored

Event = Mapping[str, Any]


class QualityComparer:
    """Compares the newest evaluation. The comparison is kept until there is a newer one: it takes a tenth of a
    second."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._of = 0.0  # the time of the evaluation that was compared
        self._check: Check | None = None

    def compare(self, events: Sequence[Event]) -> Check | None:
        """The comparison of the newest evaluation among these events of one run; None where there is none, or it can't
        be compared: without a baseline, without values, measured on something else, or of a training that has not come
        as far as the baseline's: a new run is worse at first, and `slower` judges whether it is too slow."""
        event = next((event for event in reversed(events) if event["event"] == protocol.EVALUATED), None)
        if event is None:
            self._of, self._check = 0.0, None
        elif event["t"] != self._of:
            self._of, self._check = float(event["t"]), self._compare(event)
        return self._check

    def missing(self, events: Sequence[Event]) -> str:
        """Why the newest evaluation has no value of the quality; "" where it has one, or measures none."""
        metrics = self._project.runbook.metrics
        return str(of_quality.missing(events, metrics.quality, metrics.title(metrics.quality)))

    def _compare(self, event: Event) -> Check | None:
        rules, metrics = self._project.runbook.checks, self._project.runbook.metrics
        metric, answer, before = metrics.columns.get(metrics.quality), read("quality", event), self._baseline(event)
        if metric is None or not metric.better or before is None or before.of_run:
            return None
        pair_by = paired_by(answer, before, rules)
        values, theirs = values_of(answer, pair_by), values_of(before, pair_by)
        if not any(is_number(value) for value in (values.values() if isinstance(values, Mapping) else values)):
            return None
        if not theirs:
            return None
        if isinstance(values, Mapping):  # The trainer measures on some of them on purpose.
            answer = replace(answer, values={**answer.values, "evaluated": list(values), "horizon": 1})
        title = metrics.title(metrics.quality)
        return compared(answer, before, pair_by, title=title, metric=metric, tolerances=rules).check()

    def _baseline(self, event: Event) -> Answer | None:
        """The baseline's quality; None where it is of something else, or of a longer training."""
        try:
            baseline = stored.read_baseline(self._project.layout) or {}
        except Refused:
            return None
        part, step, least = read("quality", baseline.get("quality")), event.get("step"), _trained(baseline)
        if least is None or not isinstance(step, int) or step < least or part.get("identity") != event.get("identity"):
            return None
        return part


def _trained(baseline: Mapping[str, Any]) -> float | None:
    """How many steps the baseline was trained, as far as its model and its loss curve say; None where they don't."""
    steps = [(baseline.get("model") or {}).get("step"), *((baseline.get("curve") or {}).get("steps") or ())[-1:]]
    return max(filter(is_number, steps), default=None)
