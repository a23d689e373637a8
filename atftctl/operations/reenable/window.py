"""Watch the trainer while the gate of a phase is open, and judge what was seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from atftctl.decide.detectors.bank import rules_of
from atftctl.decide.verdicts import health
from atftctl.domain.metrics_window import Window
from atftctl.domain.result import Part
from atftctl.domain.verdict import Check, Verdict
from atftctl.observe.trainer_run import event_log, phase_window
from atftctl.operations.reenable import gate_checks
from atftctl.operations.reenable.run import PhaseRun
from atftctl.protocol.messages import tr
from atftctl.state import reenable as store
from atftctl.state.layout import Layout

POLL_S = 0.2
STEPS = "steps"


@dataclass
class Silence:
    """Does the trainer hang? By this process's own clock: where the machine's clock jumps, the time of the last
    heartbeat says nothing until the next one comes."""

    layout: Layout
    run_id: str
    _beat: float = 0.0
    _since: float = field(default_factory=time.monotonic)

    def confirm(self, window: Window) -> Window:
        """The window, silent only where no heartbeat came for as long as the trainer's section may last."""
        beat = event_log.heartbeat(self.layout.root, self.run_id)
        at, limit_s = float(beat.get("t", 0)), float(beat.get("limit_s", 0))
        if at != self._beat:
            self._beat, self._since = at, time.monotonic()
        if window.silent_s is None or time.monotonic() - self._since >= limit_s:
            return window
        return replace(window, silent_s=None)


def look(run: PhaseRun, silence: Silence | None = None) -> tuple[Check, bool]:
    """(what the steps since the phase began show now; whether the trainer can't be used to judge the phase)."""
    runbook = run.project.runbook
    window, obstacle = phase_window.look(run.layout, run.phase.view, runbook.trainer)
    if obstacle:
        return Check("trainer", Verdict.INCONCLUSIVE, obstacle), True
    window = silence.confirm(window) if silence else replace(window, silent_s=None)
    verdict, detail = health.judge(window, rules_of(runbook), steps=run.rule.gate.steps)
    return Check(STEPS, verdict, detail), False


def judge(run: PhaseRun) -> tuple[Check, ...]:
    """Watch until the steps are there, the time is up, somebody halts the phases, or something is wrong; then run the
    checks of the gate. Return what was seen, a line for each part of the gate."""
    begun = time.monotonic()
    try:
        steps = _await_steps(run)
        if steps.verdict is not Verdict.PASS:
            return (steps,)
        run.request.report.note(tr("{place}: {detail}", place=run.place, detail=steps.detail))
        checks = gate_checks.measure(run)
        if stopped := _stopped(run):  # the checks take a while
            return (stopped, *checks)
        after, obstacle = look(run)
        if obstacle or after.verdict is Verdict.FAIL:
            return (after, *checks)
        return (steps, *checks)
    finally:
        run.parts.append(Part("watch", time.monotonic() - begun))


def _await_steps(run: PhaseRun) -> Check:
    """Time is measured by the monotonic clock alone, from now on: after a crash the first look judges what is there."""
    gate, report = run.rule.gate, run.request.report
    report.note(tr("{place}: watching for {gate}", place=run.place, gate=gate.describe()))
    report.part("watch")
    deadline = time.monotonic() + gate.window_s
    silence = Silence(run.layout, run.phase.view.run_id)
    while True:
        if stopped := _stopped(run):
            return stopped
        seen, obstacle = look(run, silence)
        if obstacle or seen.verdict is not Verdict.INCONCLUSIVE:
            return seen
        report.reached(seen.detail)
        if time.monotonic() >= deadline:
            text = tr("{detail}; {seconds:g} s are over", detail=seen.detail, seconds=gate.window_s)
            return replace(seen, detail=text)
        time.sleep(POLL_S)


def _stopped(run: PhaseRun) -> Check | None:
    """Somebody else's word that this watch is to end; None where there is none."""
    if halt := store.read_halt(run.layout):
        return Check("halt", Verdict.INCONCLUSIVE, halt.summary)
    state = store.read(run.layout)
    phase = state.phase(run.number) if state else None
    if phase is None or phase.doing != "watching":
        text = tr("another operation ended this phase: {note}", note=phase.note if phase else tr("it was abandoned"))
        return Check("phase", Verdict.INCONCLUSIVE, text)
    return None
