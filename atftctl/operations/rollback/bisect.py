"""`rollback --bisect`: find the improvements that cause a symptom, in short runs; the project is not changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from atftctl.decide.symptoms import find_symptom, symptom_of
from atftctl.decide.verdicts import bisect as decide
from atftctl.decide.verdicts.bisect import Names
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Data, Part, Result
from atftctl.domain.runbook import Detector
from atftctl.domain.steps import RunProbes
from atftctl.domain.text import listed
from atftctl.domain.verdict import Verdict
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.reading import read_bytes
from atftctl.host.yaml_text.edit import edit
from atftctl.host.yaml_text.read import MAX_BYTES, read
from atftctl.observe.trainer_run import probes
from atftctl.operations.project import Project, observe, require_readable
from atftctl.operations.request import Request, review
from atftctl.protocol import Exit, config_digest, merge_settings, placed
from atftctl.protocol.messages import tr, trn
from atftctl.state.bisect_cache import keep_runs, known_runs

LEAK_STEPS = 320  # a leak needs 300 rows to show
SHOWN = {
    Verdict.FAIL: tr("the symptom shows"),
    Verdict.PASS: tr("the symptom does not show"),
    Verdict.INCONCLUSIVE: tr("no answer"),
}


@dataclass(frozen=True)
class BisectData(Data):
    """The improvements that cause a symptom. symptom: its name. guilty: a smallest set of improvements with which it
    shows. runs: one line for each short run. improvements: those that are on."""

    symptom: str
    guilty: tuple[str, ...]
    runs: tuple[str, ...]
    improvements: tuple[str, ...]


@dataclass
class Runs:
    """All short runs of one search. The result of a run is kept, and used again by later searches."""

    project: Project
    symptom: str
    facts: Facts
    on: Names
    request: Request
    lines: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    _baseline: dict[str, Any] | None = None

    @property
    def detector(self) -> Detector:
        return self.project.runbook.symptoms[self.symptom].detector

    @property
    def steps(self) -> int:
        """Training steps of one run."""
        steps = self.project.runbook.staged.bisect_steps
        return max(steps, LEAK_STEPS) if self.detector == "leak" else steps

    def shows(self, names: Names) -> Verdict:
        """Does the symptom show with these improvements on, and the others off? FAIL where it does."""
        begun, runbook = time.monotonic(), self.project.runbook
        run, is_new = self._run(names)
        self._baseline = run if not names else self._baseline
        verdict, detail = decide.symptom_shows(self.detector, run, runbook.checks, self._baseline, runbook.detection)
        seconds = time.monotonic() - begun
        line = tr(
            "{improvements} on: {answer}: {detail} ({time})",
            improvements=self._named(names),
            answer=SHOWN[verdict],
            detail=detail,
            time=tr("{seconds:.1f} s", seconds=seconds) if is_new else tr("known from an earlier run"),
        )
        self.lines.append(line)
        self.request.report.note(tr("run {number}: {line}", number=len(self.lines), line=line))
        self.parts.append(Part(f"run {len(self.lines)}", seconds))
        return verdict

    def _run(self, names: Names) -> tuple[dict[str, Any], bool]:
        """Return what a run with these improvements measured, and whether it ran now."""
        layout, runbook = self.project.layout, self.project.runbook
        texts = self._texts(names)
        digest = config_digest(
            merge_settings(
                placed(read(text).value or {}, runbook.files.namespace(path)) for path, text in texts.items()
            )
        )
        key = f"{digest}:{self.steps}:{runbook.trainer.memory_limit_mb}"
        known = known_runs(layout)
        if key in known:
            return known[key], False
        self.request.report.part("bisect")
        run = probes.short_run(layout, runbook, list(texts.values()), self.steps)
        keep_runs(layout, known | {key: run})
        return run, True

    def _texts(self, names: Names) -> dict[str, bytes]:
        """Return the configs by path, with all improvements off but these."""
        runbook, texts = self.project.runbook, {}
        for path in runbook.files.configs:
            off = {
                runbook.feature(name).path: runbook.feature(name).baseline
                for name in self.on
                if name not in names and runbook.feature(name).file == path
            }
            text = read_bytes(resolve_inside(self.project.layout.root, path), MAX_BYTES + 1)
            texts[path] = edit(text, off) if off else text
        return texts

    def _named(self, names: Names) -> str:
        if names == self.on:
            return tr("all {count}", count=len(names))
        return listed(names, 4) or tr("none")


def bisect(project: Project, symptom: str, request: Request) -> Result:
    """Find the improvements that cause a symptom. `symptom`: its name, alias or title; "" for that of the last crash.
    Raises Refused where short runs can't tell; Inconclusive where they can't run."""
    facts = observe(project)
    require_readable(project, facts.configs)
    name = find_symptom(project.runbook, symptom)[0] if symptom else symptom_of(project.runbook, facts)
    if project.runbook.symptoms[name].detector == "quality":
        raise Refused(
            tr("{symptom} does not show in a short run", symptom=name),
            hint=tr("to judge by verify instead: atftctl rollback --staged --symptom {symptom}", symptom=name),
        )
    on = decide.improvements_on(project.runbook, facts.configs)
    if not on:
        raise Refused(tr("no improvement is on"))
    runs = Runs(project, name, facts, on, request)
    step = RunProbes(on, runs.steps)
    plan = Plan("rollback", tr("find the improvements that cause {symptom}", symptom=name), (step,), notes=on)
    if dry_run := review(plan, request, ask=False):
        return dry_run
    guilty = decide.guilty(on, runs.shows)
    return Result(
        "rollback",
        Exit.DONE,
        _headline(name, guilty, runs),
        lines=(*runs.lines, tr("next: atftctl rollback --feature {names}", names=" ".join(guilty))),
        data=BisectData(name, guilty, tuple(runs.lines), on),
        parts=tuple(runs.parts),
    )


def _headline(symptom: str, guilty: Names, runs: Runs) -> str:
    return trn(
        "cause of {symptom}: {names} ({runs} runs, {on} improvements)",
        "cause of {symptom}, only together: {names} ({runs} runs, {on} improvements)",
        len(guilty),
        symptom=symptom,
        names=", ".join(guilty),
        runs=len(runs.lines),
        on=len(runs.on),
    )
