"""`trainer check`: what a trainer does that atftctl relies on, tried in scratch copies of the project."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from atftctl.decide import conformance
from atftctl.domain.record import record
from atftctl.domain.result import Data, Reporter, Result
from atftctl.domain.verdict import EXIT_OF, Check, Verdict, overall
from atftctl.operations.conformance import scenes
from atftctl.operations.project import Project
from atftctl.protocol.messages import tr


@record
class ConformanceLine(Data):
    """One line of `trainer check`.

    name: of the check. title: for people. verdict: pass, fail or inconclusive. detail: the evidence. hint: what to do,
    or "".
    """

    name: str
    title: str
    verdict: str
    detail: str
    hint: str = ""


@record
class ConformanceData(Data):
    """What `trainer check` found.

    verdict: `fail` if a line fails; else `inconclusive` if a line is; else `pass`. checks: one line each. command: that
    was run. steps: trained before the stop. total_s: seconds in all. folder: with the scratch copies where they were
    kept, or null. left_out: what is in the project and not in these copies, which the trainer may need.
    """

    verdict: str
    checks: tuple[ConformanceLine, ...]
    command: tuple[str, ...]
    steps: int
    total_s: float
    folder: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckOptions:
    """`command`: in the place of that of the runbook; empty for that. `steps`: before a stop. `limit_s`: how long each
    thing is waited for. `keep`: the scratch copies are kept. `links`: paths that the trainer only reads, which the
    copies have as symlinks."""

    command: tuple[str, ...] = ()
    steps: int = 20
    limit_s: float = 120.0
    keep: bool = False
    links: tuple[str, ...] = ()


def run(project: Project, options: CheckOptions, report: Reporter) -> Result:
    """Try the trainer; the project itself is only read. The exit code is 0 if every line passes, 1 if one fails, and 6
    if one is inconclusive."""
    home = Path(tempfile.mkdtemp(prefix="atftctl-check-"))
    try:
        played = scenes.Scenes(project, home, options.command, options.steps, options.limit_s, report, options.links)
        facts, seconds = scenes.timed(played.play)
    finally:
        if not options.keep:
            scenes.remove(home)
    checks = conformance.judge(facts)
    data = ConformanceData(
        overall(checks).value, tuple(map(_line, checks)), options.command or project.runbook.trainer.command,
        options.steps, seconds, str(home) if options.keep else None, played.left_out,
    )  # fmt: skip
    return Result("trainer check", EXIT_OF[overall(checks)], _headline(checks), data=data)


def _line(check: Check) -> ConformanceLine:
    return ConformanceLine(check.name, conformance.TITLES[check.name], check.verdict.value, check.detail, check.hint)


def _headline(checks: tuple[Check, ...]) -> str:
    count = {verdict: sum(check.verdict is verdict for check in checks) for verdict in Verdict}
    return tr("the trainer passes {passed} of {all} checks; {failed} failed, {unknown} inconclusive",
              passed=count[Verdict.PASS], all=len(checks), failed=count[Verdict.FAIL],
              unknown=count[Verdict.INCONCLUSIVE])  # fmt: skip
