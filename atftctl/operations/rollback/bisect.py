"""`rollback --bisect`: which improvements are guilty. Short runs in a scratch folder; the project is not touched."""

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
from atftctl.domain.result import Part, Result
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
from atftctl.protocol import Exit, config_digest, merge_settings
from atftctl.protocol.messages import tr
from atftctl.state.bisect_cache import keep_runs, known_runs

LEAK_STEPS = 320  # a leak needs 300 rows to show


@dataclass
class Runs:
    """Every probe run of one search; what an earlier search has run is not run again."""

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
        steps = self.project.runbook.staged.bisect_steps
        return max(steps, LEAK_STEPS) if self.detector == "leak" else steps

    def shows(self, names: Names) -> Verdict:
        """With these improvements on, the others off."""
        texts = self._texts(names)
        digest = config_digest(merge_settings(read(text).value or {} for text in texts.values()))
        key = f"{digest}:{self.steps}:{self.project.runbook.trainer.memory_limit_mb}"
        known, begun = known_runs(self.project.layout), time.monotonic()
        run = known.get(key)
        if run is None:
            self.request.report.part("bisect")
            run = self._run(texts)
            keep_runs(self.project.layout, known | {key: run})
        self._baseline = run if not names else self._baseline
        verdict, words = decide.symptom_shows(self.detector, run, self.project.runbook.checks, self._baseline)
        seconds = time.monotonic() - begun
        how = f"{seconds:.1f} s" if key not in known else "known from before"
        who = f"all {len(names)}" if names == self.on else listed(names, 4) or "none"
        self.lines.append(f"{who} on: {_WORDS[verdict]}: {words} ({how})")
        self.request.report.note(f"run {len(self.lines)}: {self.lines[-1]}")
        self.parts.append(Part(f"run {len(self.lines)}", seconds))
        return verdict

    def _texts(self, names: Names) -> dict[str, bytes]:
        """The configs as they stand, but for the improvements that are to be off."""
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

    def _run(self, texts: dict[str, bytes]) -> dict[str, Any]:
        return probes.short_run(self.project.layout, self.project.runbook, list(texts.values()), self.steps)


_WORDS = {Verdict.FAIL: "it shows", Verdict.PASS: "it does not", Verdict.INCONCLUSIVE: "no answer"}


def bisect(project: Project, word: str, request: Request) -> Result:
    """Raises Refused where short runs can't tell."""
    facts = observe(project)
    require_readable(project, facts.configs)
    symptom = find_symptom(project.runbook, word)[0] if word else symptom_of(project.runbook, facts)
    if project.runbook.symptoms[symptom].detector == "quality":
        raise Refused(
            f"{symptom} shows in no short run", hint=f"atftctl rollback --staged --symptom {symptom} judges by verify"
        )
    on = decide.improvements_on(project.runbook, facts.configs)
    if not on:
        raise Refused("no improvement is on")
    runs = Runs(project, symptom, facts, on, request)
    step = RunProbes(on, runs.steps)
    plan = Plan("rollback", tr("find the improvement that causes {symptom}", symptom=symptom), (step,), notes=on)
    if dry_run := review(plan, request, ask=False):
        return dry_run
    found = decide.guilty(on, runs.shows)
    together = " together" if len(found) > 1 else ""
    return Result(
        "rollback",
        Exit.DONE,
        f"guilty of {symptom}{together}: {', '.join(found)} ({len(runs.lines)} runs, {len(on)} improvements)",
        lines=(*runs.lines, f"next: atftctl rollback --feature {' '.join(found)}"),
        data={"symptom": symptom, "guilty": list(found), "runs": runs.lines, "improvements": list(on)},
        parts=tuple(runs.parts),
    )
