"""The quality of one checkpoint beside the baseline, judged as `verify` does."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.decide.verdicts.checklist import checklist
from atftctl.domain.facts import Process
from atftctl.domain.verdict import Verdict, overall
from atftctl.observe.trainer_run.measuring import MeasureRequest, measuring
from atftctl.operations.project import Project
from atftctl.protocol.messages import joined, tr
from atftctl.state.baseline import read_baseline

PARTS = ("dataset", "model", "quality")
CHECKS = ("model", "quality")


def judge(project: Project, path: str, sha256: str, configs: Sequence[bytes]) -> tuple[bool | None, str]:
    """Return (whether the quality holds, None where that is not known; what was measured, or why not). `path`: of the
    checkpoint; `sha256`: of what it must hold. Raises Refused for a baseline that can't be read."""
    baseline = read_baseline(project.layout)
    if baseline is None:
        return None, tr("there is no baseline to compare with; record one: atftctl baseline record")
    runbook = project.runbook
    if not runbook.trainer.probe:
        return None, tr("the runbook names no probe that could measure it (trainer.probe)")
    request = MeasureRequest(PARTS, runbook.checks.probe_steps, checkpoint=path, configs=tuple(configs))
    with measuring(project.layout, runbook, request) as probe:
        measured = dict(probe.collect())
    if measured.get("model", {}).get("sha256", sha256) != sha256:
        return None, tr("it was replaced while it was graded")
    checks = checklist(measured, baseline, Process(), runbook.checks, "", runbook.metrics, CHECKS)
    verdict = overall(checks)
    wrong = [check for check in checks if check.verdict is not Verdict.PASS] or list(checks)[-1:]
    detail = joined("; ", [check.detail for check in wrong])
    return {Verdict.PASS: True, Verdict.FAIL: False}.get(verdict), detail
