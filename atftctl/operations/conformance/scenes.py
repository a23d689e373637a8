"""What is done with the trainer, one run after the other, and what was seen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.apply import staging_folders, trainer_process
from atftctl.domain.conformance import Ended, Facts, RunSeen
from atftctl.domain.result import Reporter
from atftctl.observe.configs import digest, read_configs
from atftctl.operations.conformance.trial import Trial
from atftctl.operations.drill.scratch_copy import copy_project, set_values
from atftctl.operations.project import Project, open_project
from atftctl.protocol.keys import parse_key
from atftctl.protocol.messages import Message, tr
from atftctl.state import generation, reserve

LIVE_S = 10.0  # that a trainer which tells nothing is left running
ANSWER_S = 30.0  # for a request; LIVE_S for a trainer that writes no events
SECTION_POLL_S = 0.001  # a section may be short
SECTION_STEPS, SECTION_TIMES = 100, 5  # how long a section is waited for: steps, at least, and times `steps`
LOOK_S = 0.05


@dataclass
class Scenes:
    """The runs of one check. `steps`: trained before a stop; twice as many in the run that is not interrupted.
    `limit_s`: how long each thing is waited for. `command`: in the place of that of the runbook; empty for that."""

    project: Project
    home: Path
    command: tuple[str, ...]
    steps: int
    limit_s: float
    report: Reporter
    links: tuple[str, ...] = ()  # paths of the project that the trainer only reads
    left_out: tuple[Message, ...] = ()  # of the copies
    tells: bool | None = None  # does it tell of its steps? None: not known yet

    def play(self) -> Facts:
        """All runs; those that can't be made are left out. Raises Refused, OSError, HostError, YamlError."""
        whole = self._copy("whole")
        files = digest(read_configs(whole.layout.root, whole.runbook.files))
        columns = {**whole.runbook.metrics.roles}
        if whole.runbook.metrics.gradient:
            columns["gradient"] = whole.runbook.metrics.gradient
        self.report.part(tr("a run without a stop"))
        facts = self._whole(Facts(files, columns, RunSeen()), whole)
        if not (facts.whole.alive or facts.whole.began):
            return facts
        return self._interrupted(facts, self._copy("interrupted"))

    def _copy(self, name: str) -> Project:
        """A scratch copy, with what the runbook sets in copies, and with the command that is checked."""
        copy = copy_project(self.project, self.home / name, self.links)
        root, self.left_out = copy.root, copy.left_out
        project = open_project(root, self.project.language)
        book = project.runbook
        for file, values in book.drill.copy.items():
            set_values(root, file, {parse_key(key): value for key, value in values.items()})
        for feature in (book.features[name] for name in book.drill.keep_off):
            set_values(root, feature.file, {feature.path: feature.baseline})
        reserve.prepare(project.layout)
        trainer = replace(book.trainer, command=self.command) if self.command else book.trainer
        return replace(project, runbook=replace(book, trainer=trainer))

    def _whole(self, facts: Facts, project: Project) -> Facts:
        """The run that is not interrupted; then a request to load settings, and a newer trainer."""
        with _running(project, "scratch") as trial:
            self._train(trial, 2 * self.steps)
            facts = replace(facts, whole=trial.seen())
            if not facts.whole.alive:
                return facts
            self.report.part(tr("a reload, and a newer trainer"))
            return replace(facts, reload=self._reload(trial), fenced=self._fence(trial))

    def _train(self, trial: Trial, steps: int) -> None:
        """Wait until it has trained so many steps in all; a trainer that tells none runs for a while. The first run has
        the whole limit to tell of a step."""
        limit_s = self.limit_s if self.tells in (None, True) else LIVE_S
        told = trial.wait(lambda: bool(trial.step()), limit_s, LOOK_S)
        self.tells = told if self.tells is None else self.tells
        if told:
            trial.wait(lambda: self._reached(trial, steps), self.limit_s, LOOK_S)

    def _reached(self, trial: Trial, steps: int) -> bool:
        last = trial.step()
        self.report.reached(tr("{step} of {steps} steps", step=last or 0, steps=steps))
        return last is not None and last >= steps

    def _reload(self, trial: Trial) -> Mapping[str, Any]:
        number = trainer_process.ask(trial.project.layout, trial.record, protocol.WANT_RELOAD, resume="last")
        answers: list[dict[str, Any]] = []

        def answered() -> bool:
            wanted = (protocol.RELOADED, protocol.RELOAD_REFUSED)
            answers.extend(
                event for event in trial.events() if event["event"] in wanted and event.get("request") == number
            )
            return bool(answers)

        trial.wait(answered, min(self.limit_s, ANSWER_S if trial.events() else LIVE_S), LOOK_S)
        if not answers:
            trainer_process.withdraw(trial.project.layout)
        return answers[0] if answers else {}

    def _fence(self, trial: Trial) -> Ended:
        """Take the number of a newer trainer, as a start does."""
        before = trial.checkpoints()
        staging_folders.renew(trial.project.layout, generation.take(trial.project.layout))
        return trial.await_end(before, min(self.limit_s, self._grace_s if trial.events() else LIVE_S))

    @property
    def _grace_s(self) -> float:
        return self.project.runbook.trainer.grace_s

    def _interrupted(self, facts: Facts, project: Project) -> Facts:
        """A run that is stopped, resumed, killed while it saves, resumed, stopped in an evaluation, and in a save."""
        self.report.part(tr("a stop in training"))
        with _running(project, "scratch") as trial:
            self._train(trial, self.steps)
            ended = trial.ask_to_stop(self._grace_s)
            facts = replace(facts, stopped=trial.seen(ended))
        self.report.part(tr("a resume, and SIGKILL while saving"))
        with _running(project, "last") as trial:
            self._train(trial, 2 * self.steps)
            facts = replace(facts, resumed=trial.seen())
            if not facts.resumed or not facts.resumed.alive:
                return facts
            killed = trial.kill_while_saving(self._grace_s)
            facts = replace(facts, kill="during" if killed else "after")
        for name, section in (("in_evaluation", "evaluate"), ("in_saving", "save")):
            self.report.part(tr("a stop in the section {name}", name=section))
            facts = self._stop_in(facts, project, name, section)
        return facts

    def _stop_in(self, facts: Facts, project: Project, name: str, section: str) -> Facts:
        """Resume, and ask it to stop in this section of its heartbeat. The first such run also shows what SIGKILL has
        left."""
        if facts.after_kill and not facts.whole.beat:
            return facts
        with _running(project, "last") as trial:
            limit_s = self.limit_s if self.tells else LIVE_S
            trial.wait(lambda: trial.seen().from_step is not None, limit_s, LOOK_S)
            if facts.after_kill is None:
                facts = replace(facts, after_kill=trial.seen())
            files = trial.checkpoints() if section == "save" else None  # the save that it is in counts
            reached = bool(facts.whole.beat) and self._reached_section(trial, section)
            ended = trial.ask_to_stop(self._grace_s, files)
        changes: dict[str, Any] = {name: ended} if reached else {}
        return replace(facts, **changes)

    def _reached_section(self, trial: Trial, section: str) -> bool:
        """Wait until its heartbeat names the section; a trainer that has none is not waited for to the limit."""
        begun = trial.beat().get("step")
        most = max(SECTION_STEPS, SECTION_TIMES * self.steps)
        sections: set[object] = set()  # a short section may be over before it is asked for again

        def over() -> bool:
            beat = trial.beat()
            sections.add(beat.get("section"))
            step = beat.get("step")
            return section in sections or (type(step) is int and type(begun) is int and step - begun > most)

        return trial.wait(over, self.limit_s, SECTION_POLL_S) and section in sections


@contextmanager
def _running(project: Project, resume: str) -> Iterator[Trial]:
    """A run; after the block, none of its processes is left."""
    trial = Trial(project, resume)
    try:
        yield trial
    finally:
        trial.kill()


def remove(home: Path) -> None:
    """Remove the scratch copies."""
    shutil.rmtree(home, ignore_errors=True)


def timed(act: Callable[[], Facts]) -> tuple[Facts, float]:
    """What `act` returns, and the seconds that it took."""
    begun = time.monotonic()
    facts = act()
    return facts, time.monotonic() - begun
