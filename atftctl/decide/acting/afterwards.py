"""What became of the trainer after a rollback of the watcher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.acting.signals import Signals
from atftctl.domain.acting import Act, Acting, Outcome
from atftctl.domain.runbook import Detector
from atftctl.domain.watching import Look

SLOW_TO_SEE = ("leak", "slower")  # their detectors need about twice the rows of the others


def followed(rules: Acting, detector: Detector, act: Act, look: Look, signals: Sequence[Signals]) -> Act:
    """The act with what this look says about it. `detector`: of the symptom. `signals`: of the look."""
    if look.sees and act.restarted == look.generation and act.from_step < 0 and look.step > 0:
        act = replace(act, from_step=look.step)
    return replace(act, outcome=outcome_of(rules, detector, act, look, signals))


def outcome_of(rules: Acting, detector: Detector, act: Act, look: Look, signals: Sequence[Signals]) -> Outcome:
    """`restored` after enough healthy steps of the trainer that was started; `not restored` where that one shows the
    symptom again, or has died; `inconclusive` where the time is up, or another one was started. "" as long as it is
    not known."""
    if not look.sees or look.generation < act.restarted:
        return ""
    if look.generation > act.restarted:
        return "inconclusive"
    if look.process.state == "died" or any(each.symptom == act.symptom and each.strong for each in signals):
        return "not restored"
    needed = rules.healthy_steps * (2 if detector in SLOW_TO_SEE else 1)
    if look.diagnosis.healthy and 0 <= act.from_step <= look.step - needed:
        return "restored"
    return "inconclusive" if look.now - act.ended > rules.within_s else ""
