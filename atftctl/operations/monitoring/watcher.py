"""The watcher: looks at the trainer again and again. It changes nothing of the project."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis import judge, sight
from atftctl.decide.diagnosis.detected import Detected
from atftctl.decide.diagnosis.detector_states import State, detector_states
from atftctl.domain.diagnosis import Diagnosis, Observed
from atftctl.domain.facts import Process
from atftctl.domain.finding import Finding
from atftctl.domain.log_lines import signatures
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.result import Reporter
from atftctl.domain.run_rows import Row
from atftctl.domain.watching import Look
from atftctl.host.errors import HostError, reason_and_place
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.observe import diagnosis as observed
from atftctl.observe.trainer_run.watching import ProcessWatcher, RecordWatcher
from atftctl.operations.monitoring.baseline_curve import baseline_curve, first_event
from atftctl.operations.monitoring.watch_state import Watched, begin, digest_of
from atftctl.operations.monitoring.watched_run import WatchedRun
from atftctl.operations.project import Project
from atftctl.protocol.messages import Message, tr

GAP_S = 10.0  # longer between two looks than they are apart: this process was stopped, or the clock was set
REJUDGE_S = 10.0  # the same signs are judged again after so long: their texts hold times and steps
OLD_S = 30.0  # rows that are older are judged at each look
NOTHING = Diagnosis(healthy=False)


class Watcher:
    """Looks at the trainer. `seen`, `found`: what the last look was made from; None before the first one, and without a
    trainer."""

    def __init__(self, project: Project, report: Reporter, state: Watched | None, interval_s: float = 0.0) -> None:
        """state: what an earlier watcher has kept; it is used where it fits the present run. interval_s: seconds
        between two looks."""
        self._project, self._report, self._before = project, report, state
        self._matcher = Matcher(signatures.wanted(project.runbook.logs))
        self._records = RecordWatcher(project.layout)
        self._trainer = ProcessWatcher(project.layout, project.runbook.trainer)
        self._run: WatchedRun | None = None
        self._clocks, self._gap_s = (time.time(), time.monotonic()), interval_s + GAP_S
        self._silent_from = 0.0
        self._judged_from: tuple[object, ...] = ()
        self._judged_at = -REJUDGE_S
        self._diagnosis = NOTHING
        self._state: Watched | None = None
        self.seen: Observed | None = None
        self.found: Detected | None = None
        self.uncompared: Message | None = None  # why the loss can't be compared with that of a baseline

    @property
    def state(self) -> Watched | None:
        """What is to be kept, as of the last whole look; None without a trainer."""
        return self._state

    @property
    def newest(self) -> Sequence[Row]:
        """The rows that the last look read."""
        return self._run.newest if self._run else ()

    @property
    def detectors(self) -> Mapping[str, State]:
        """What each detector is doing; empty without a trainer."""
        if self.found is None or self.seen is None:
            return {}
        return detector_states(self.found, hangs=self.seen.process.silent_s is not None)

    def look(self) -> Look:
        """Look once. Raises nothing for what can't be read: then this look is blind, and the next one goes on from the
        last whole one."""
        now = self._now()
        try:
            return self._look(now)
        except (OSError, HostError) as error:
            self.close()
            self._run, self._before = None, self._state
            why = tr("the watcher can't look: {reason}", reason=reason_and_place(error))
            return self._blind(now, why, self.seen.process if self.seen else Process())

    def _look(self, now: float) -> Look:
        changed = self._records.look()
        record = self._records.record
        if record is None:
            return self._without_trainer(now)
        if self._run is None or (self._run.record.run_id, self._run.record.generation) != (
            record.run_id,
            record.generation,
        ):
            self._begin()
        assert self._run is not None
        run = self._run
        run.record = record
        # The process before its files: what it wrote before its end is then read with its end.
        process = self._trainer.look(record, run.step, self._silent_from, changed=changed)
        told, changes = run.read_events()
        if changes:
            process = self._trainer.look(record, run.step, self._silent_from, changed=True)
        if told and not run.has_rows:
            run.use(self._rules_for(run.state))
        findings = run.read_rows(self._report)
        if process.alive and run.step > (process.step or 0):
            process = replace(process, step=run.step)
        fresh = (run.read_logs(process, self._report), run.look_at_machine(process), changed, told, bool(findings))
        look = self._judged(now, run, process, findings, fresh=any(fresh))
        self._state = run.state
        return look

    def close(self) -> None:
        """Close all files."""
        if self._run:
            self._run.close()

    def _begin(self) -> None:
        """Watch the recorded run, from what is known of it. Everything of an earlier run is forgotten."""
        record = self._records.record
        assert record is not None
        self.close()
        known, self._before, self._judged_from = self._before, None, ()
        if known is not None and (known.run_id, known.generation) != (record.run_id, record.generation):
            known = None
        state = known or begin(record)
        rules = self._rules_for(state)
        if known is not None and known.rows.total and known.rules != digest_of(rules):
            self._report.note(tr("what the detectors compare with has changed: this run is read again from its start"))
            state = begin(record)
        self._run = WatchedRun(self._project, record, rules, state)

    def _rules_for(self, state: Watched) -> bank.Rules:
        """What the detectors watch in this run: with the curve of the baseline, where the run says that it measures on
        the same data."""
        started = first_event(state.events.kept)
        curve, self.uncompared = baseline_curve(self._project, started) if started else (bank.NO_CURVE, None)
        return bank.rules_of(self._project.runbook, curve)

    def _now(self) -> float:
        """The time. Where the clock was set, or this process was stopped, silence is counted from now on only: nobody
        knows how long the trainer was silent."""
        before, elapsed = self._clocks, time.monotonic()
        now = observed.now()
        self._clocks = now, elapsed
        if elapsed - before[1] > self._gap_s or abs((now - before[0]) - (elapsed - before[1])) > GAP_S / 2:
            self._silent_from = now
        return now

    def _without_trainer(self, now: float) -> Look:
        process = self._trainer.look(None, -1, 0.0, changed=False)
        self._state = self.seen = self.found = None
        self.close()
        self._run = None
        return self._blind(now, tr("atftctl has not started a trainer here"), process)

    @staticmethod
    def _blind(now: float, why: Message, process: Process) -> Look:
        """A look that saw nothing. process: as it was seen last."""
        nothing = replace(NOTHING, unknown=(why,))
        return Look(now, False, why, process, nothing, (), (), process.generation, process.step or 0, 0, "")

    def _judged(
        self, now: float, run: WatchedRun, process: Process, findings: tuple[Finding, ...], *, fresh: bool
    ) -> Look:
        found, seen = run.detected(), run.observed(now, process, self._silent_from)
        self.seen, self.found = seen, found
        if fresh or self._is_due(seen, found):
            with cpu_ticks(self._matcher.tick):  # messages of events are searched for patterns of the runbook
                self._diagnosis = judge.judge(seen, found, self._matcher, self._project.runbook.trainer.memory_limit_mb)
            self._judged_at = time.monotonic()
        blind = sight.blind(seen, found, self._project.runbook.trainer.ready_s)
        return Look(
            now, not blind, blind, process, self._diagnosis, found.active, findings, run.record.generation,
            max(run.step, process.step or 0, 0), run.evaluations, process.digest,
        )  # fmt: skip

    def _is_due(self, seen: Observed, found: Detected) -> bool:
        """May the diagnosis be another one than at the last look?"""
        process, rows = seen.process, seen.rows
        old = rows.written is not None and abs(seen.now - rows.written) > OLD_S and process.alive
        judged_from = (
            process.state, process.where, process.section in sight.BUSY, process.silent_s is not None, process.digest,
            found.active, tuple(found.ready.values()), rows.problem, rows.later > 0, rows.torn > 0, bool(rows.rows),
            seen.logs_unread, seen.logs_part, old,
        )  # fmt: skip
        due = judged_from != self._judged_from or old or time.monotonic() - self._judged_at > REJUDGE_S
        self._judged_from = judged_from
        return due
