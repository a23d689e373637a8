"""What the watcher would have done on the rows of a past run, from its metrics alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from atftctl.decide.acting import policy, standing
from atftctl.decide.acting.signals import signals_of
from atftctl.decide.detectors import bank, spike, step_time
from atftctl.decide.diagnosis import judge
from atftctl.decide.diagnosis.detected import Detected, evidence
from atftctl.domain.acting import Memory
from atftctl.domain.diagnosis import Diagnosis
from atftctl.domain.facts import Process
from atftctl.domain.finding import Finding
from atftctl.domain.run_rows import Row
from atftctl.domain.runbook import Runbook
from atftctl.domain.watching import Look

QUIET = {step_time.NAME, spike.NAME}  # they speak for no symptom
RUNNING = Process(state="running")


@dataclass
class Actor:
    """The policy on the rows of one run. It acts once for each fault: after that, all signals of it must end first.
    `evaluations`: rows so far that have a value of the column of quality."""

    runbook: Runbook
    rules: bank.Rules
    evaluations: int = 0
    acting: bool = False
    _memory: Memory = field(default_factory=Memory)
    _newest: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def take(self, state: bank.State, row: Row, found: tuple[Finding, ...]) -> bool:
        """Would the watcher have acted at this row? `state`: of the detectors after it; `found`: alarms that began."""
        for finding in found:
            self._newest[finding.detector, finding.column] = finding
        ended = row.values.get(self.runbook.metrics.quality) is not None
        self.evaluations += ended
        active = bank.active(self.rules, state)
        if not (set(active) - QUIET):
            self.acting = False
            if ended or self._memory.standing:
                self._stand(row, Diagnosis(healthy=True))
            return False
        return self._acts(state, row, active)

    def _acts(self, state: bank.State, row: Row, active: tuple[str, ...]) -> bool:
        ready = bank.ready(self.rules, state)
        detected = Detected(self.rules, state, tuple(self._newest.values()), active, ready)
        diagnosis = Diagnosis(healthy=False, hypotheses=tuple(judge.ranked(evidence(detected))))
        self._stand(row, diagnosis)
        grounds = policy.grounds_of(self._memory, signals_of(self.runbook, diagnosis))
        begins = grounds is not None and not self.acting
        self.acting = grounds is not None
        return begins

    def _stand(self, row: Row, diagnosis: Diagnosis) -> None:
        look = Look(0.0, True, "", RUNNING, diagnosis, (), (), 1, row.step, self.evaluations, "")
        self._memory = standing.after(self._memory, look, signals_of(self.runbook, diagnosis))
