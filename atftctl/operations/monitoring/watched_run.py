"""What a watcher knows of one run of the trainer, and how it learns more: each row, event and line is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis.detected import Detected
from atftctl.domain.diagnosis import Observed
from atftctl.domain.facts import Process
from atftctl.domain.finding import Finding
from atftctl.domain.log_lines import signatures
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.result import Reporter
from atftctl.domain.run_rows import Row
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.observe import diagnosis as observed
from atftctl.observe.log_files.errors import started_at
from atftctl.observe.log_files.watching import LogWatcher
from atftctl.observe.metrics.source import follower as metrics_follower
from atftctl.observe.trainer_run.following import EventFollower
from atftctl.observe.trainer_run.machine import MachineWatcher
from atftctl.operations.monitoring.quality import QualityComparer
from atftctl.operations.monitoring.watch_state import Watched, digest_of
from atftctl.operations.project import Project

NEWEST = 2000  # rows of one look that are kept, for the curves


class WatchedRun:
    """One run. `newest`: rows that the last look read. `started`: when it was started, in Unix
    seconds."""

    def __init__(self, project: Project, record: ProcessRecord, rules: bank.Rules, state: Watched) -> None:
        """state: what was known of it before."""
        layout, book = project.layout, project.runbook
        wanted = dict.fromkeys(filter(None, (*rules.columns, *book.metrics.roles.values())))
        self.record, self.started = record, started_at(record) or 0.0
        self._layout, self._state = layout, state
        self.use(rules)
        self._rows = metrics_follower(layout, tuple(wanted), book.metrics.quality, record.generation, state.rows)
        self._events = EventFollower(layout.root, record.run_id, state.events)
        self._logs = LogWatcher(layout, book.logs, signatures.wanted(book.logs), record)
        self._quality = QualityComparer(project)
        self._machine = MachineWatcher(layout, book.files.models)
        self.newest: Sequence[Row] = ()

    @property
    def state(self) -> Watched:
        """Everything that is known of it, as it is kept. Not to be taken while `read_rows` runs."""
        return replace(self._state, rows=self._rows.state, events=self._events.state)

    @property
    def has_rows(self) -> bool:
        """Was any row read? Then what the detectors watch can't be changed any more."""
        return self._rows.state.total > 0

    @property
    def step(self) -> int:
        """The newest one, by the metrics; -1 where there is none."""
        return self._rows.state.newest

    @property
    def evaluations(self) -> int:
        """How many evaluations the trainer has finished."""
        return max(self._events.state.evaluations, self._rows.state.evaluated)

    def use(self, rules: bank.Rules) -> None:
        """Let the detectors watch this from now on."""
        self._rules, self._state = rules, replace(self._state, rules=digest_of(rules))

    def read_rows(self, report: Reporter) -> tuple[Finding, ...]:
        """Read the rows that were added; the alarms that begin with them."""
        begun, detectors, newest = list[Finding](), self._state.detectors, list[Row]()
        for rows in self._rows.read(report.progress):
            for row in rows:
                detectors, findings = bank.take(self._rules, detectors, row)
                begun += findings
            newest = [*newest, *rows][-NEWEST:]
        self.newest, findings = newest, tuple(begun)
        self._state = replace(self._state.with_findings(findings), detectors=detectors)
        return findings

    def read_events(self) -> tuple[bool, bool]:
        """Read the events that were added: (is there one that says how the run goes? Does one change its state?)"""
        return self._events.read()

    def read_logs(self, process: Process, report: Reporter) -> bool:
        """Read the lines that were added: is there a message of a known kind among them?"""
        with cpu_ticks(self._logs.matcher.tick):
            return self._logs.read(report.progress, ended=not process.alive)

    def look_at_machine(self, process: Process) -> bool:
        """Look at the kernel and at the checkpoints where they may have changed: have they?"""
        return self._machine.look(process, self.record)

    def detected(self) -> Detected:
        """What the detectors say."""
        rules, detectors = self._rules, self._state.detectors
        active, ready = bank.active(rules, detectors), bank.ready(rules, detectors)
        return Detected(rules, detectors, self._state.findings, active, ready)

    def observed(self, now: float, process: Process, silent_from: float) -> Observed:
        """Everything that a diagnosis is made from. silent_from: no silence is counted from before this time."""
        rows, events, machine, record = self._rows.run_rows(), self._events.state.kept, self._machine, self.record
        if rows.written is not None and rows.written <= now:
            rows = replace(rows, written=max(rows.written, silent_from))
        return Observed(
            now, process, self.started,
            started=self.started,
            progress=observed.progress(self._layout, record, events),
            pid=record.pid,
            wanted=record.wanted,
            events=events,
            rows=rows,
            logs=self._logs.signs,
            logs_unread=self._logs.unread,
            logs_part=self._logs.partly,
            kernel=machine.kernel,
            kernel_problem=machine.problem,
            kernel_here=machine.here,
            kernel_pids=machine.has_pids,
            killed=machine.killed,
            checkpoints=machine.checkpoints,
            quality=self._quality.compare(events),
            no_quality=self._quality.missing(events),
        )  # fmt: skip

    def close(self) -> None:
        """Close all files."""
        for follower in (self._rows, self._events, self._logs):
            follower.close()
