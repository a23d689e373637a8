"""One drill: its scratch project, the fault, and what was seen so far."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.domain.drill_rules import Fault, FileSettings
from atftctl.domain.errors import InterventionNeeded
from atftctl.domain.result import Part, Reporter, Result
from atftctl.observe.trainer_run import event_log, process
from atftctl.operations.drill.scratch_copy import set_values
from atftctl.operations.drill.timeline import Timeline
from atftctl.operations.project import Project, open_project
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.protocol.keys import KeyPath, parse_key
from atftctl.protocol.messages import joined, tr
from atftctl.state.engines.choice import engine_of

POLL_S = 0.05
LIMIT_S = 900.0  # for the healthy run, and for single events: a machine may be busy


TITLES = {  # of the parts
    "scratch copy": tr("scratch copy"),
    "healthy run": tr("healthy run"),
    "baseline": tr("baseline"),
    "fault": tr("fault"),
    "incident": tr("incident"),
    "outcome": tr("outcome"),
    "training": tr("training"),
    "verify": tr("verify"),
    "re-enable": tr("re-enable"),
}


@dataclass
class Drill:
    """One rehearsal. `symptom`: the one that is rehearsed; `fault`: how it is made. `timeline`: of the incident."""

    project: Project
    report: Reporter
    symptom: str
    fault: Fault
    parts: list[Part] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def root(self) -> Path:
        return self.project.layout.root

    @property
    def request(self) -> Request:
        return Request(reason="drill", report=self.report)

    @property
    def runbook_path(self) -> str:
        return str(self.project.layout.runbook.relative_to(self.root))

    @property
    def keep_off(self) -> set[str]:
        """Features that stay off in the incident: those of the first phase are left to be turned on again after it."""
        book = self.project.runbook
        phase = book.plans[book.reenable_plan][0]
        return {*book.drill.keep_off, *self.fault.keep_off, *phase.settings}

    def reopen(self) -> None:
        """Read the runbook again, after it was edited."""
        self.project = open_project(self.root, self.project.language)

    def part(self, name: str, command: str, act: Callable[[], str]) -> None:
        """Run one part, and add a line to what is shown. `command`: what a user would type, "" for nothing."""
        self.report.part(name)
        begun = time.monotonic()
        outcome = act()
        seconds = time.monotonic() - begun
        self.parts.append(Part(name, seconds))
        title = TITLES.get(name, name)
        self.lines.append(joined("", (f"{seconds:6.1f} s  ", title, ": ", outcome)))
        self.report.note(f"$ {command}" if command else joined("", ("(", title, ")")))
        self.report.note(tr("  {seconds:.1f} s: {outcome}", seconds=seconds, outcome=outcome))

    def set_all(self, settings: FileSettings) -> None:
        """Set values in files of the copy, by dotted key."""
        for name, values in settings.items():
            set_values(self.root, name, {parse_key(key): value for key, value in values.items()})

    def set_features(self, off: set[str]) -> None:
        """Turn every improvement on, but for some."""
        by_file: dict[str, dict[KeyPath, Any]] = {}
        for name, feature in self.project.runbook.features.items():
            value = feature.baseline if name in off else feature.improved
            by_file.setdefault(feature.file, {})[feature.path] = value
        for name, values in by_file.items():
            set_values(self.root, name, values)

    def set_rules(self, rules: Mapping[KeyPath, Any]) -> None:
        """Edit the copy's runbook, and read it again."""
        set_values(self.root, self.runbook_path, rules)
        self.reopen()

    def config_files(self) -> dict[str, bytes]:
        """The content of the copy's configs."""
        return {name: (self.root / name).read_bytes() for name in self.project.runbook.files.configs}

    def run_command(self, argv: tuple[str, ...]) -> None:
        """Run a command of the fault in the copy. Raises InterventionNeeded where it fails."""
        import subprocess

        words = [word.replace("{python}", sys.executable) for word in argv]
        try:
            done = subprocess.run(
                words, cwd=self.root, env={**os.environ, "PYTHONPATH": _with_copy(self.root)}, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InterventionNeeded(tr("the fault can't be made: {reason}", reason=str(error))) from None
        if done.returncode:
            text = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise InterventionNeeded(
                tr("the fault can't be made: {command} ended with exit code {code}: {text}",
                   command=argv[0], code=done.returncode, text="".join(text))
            )  # fmt: skip

    def await_event(self, wanted: tuple[str, ...], *, step: int = 0, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """Return the first event of the trainer of these kinds, at this step or later. Raises InterventionNeeded."""
        record = process.read_record(self.project.layout)
        if record is None:
            raise InterventionNeeded(tr("no trainer was started"))
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            alive = engine_of(record).find(self.project.layout, record) is not None
            for event in event_log.events(self.root, offset=record.events_from, run_id=record.run_id):
                if event["event"] in wanted and int(event.get("step") or 0) >= step:
                    return event
            if not alive:
                break
            time.sleep(POLL_S)
        raise InterventionNeeded(
            tr("the trainer wrote no event of this kind: {events}", events=", ".join(wanted)),
            state=tr("its log is {path}", path=self.root / protocol.LOG),
        )

    @contextmanager
    def incident_environment(self) -> Iterator[None]:
        """In the block, whatever is started has the environment of the fault: also the trainer after the rollback."""
        wanted = {protocol.DRILL: "1", **self.fault.environment}
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    @staticmethod
    def unless_interrupted(result: Result) -> Result:
        """The result of an operation. Raises KeyboardInterrupt where it was interrupted while it waited for the
        trainer: an operation says so by its result, since its change is done."""
        if result.exit_code is Exit.INTERRUPTED:
            raise KeyboardInterrupt
        return result


def _with_copy(root: Path) -> str:
    """A PYTHONPATH with the copy first, as the trainer has it."""
    path = os.environ.get("PYTHONPATH", "")
    return f"{root}{os.pathsep}{path}" if path else str(root)
