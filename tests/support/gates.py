"""Gates that a stand-in trainer can pass within a second."""

from __future__ import annotations

import re

from tests.support.projects import RUNBOOK, Project


def quick_gates(project: Project, *, steps: int = 30, window_s: int = 20, checks: str = "", quality: str = "") -> None:
    """Give every phase this gate. `checks`: names of checks, separated by commas."""
    text = project.read(RUNBOOK).decode()
    text = re.sub(r"(?m)^(        )steps: \d+$", rf"\g<1>steps: {steps}", text)
    text = re.sub(r"(?m)^(        )window_s: \d+$", rf"\g<1>window_s: {window_s}", text)
    text = re.sub(r"(?m)^(        )checks: \[.*\]$", rf"\g<1>checks: [{checks}]", text)
    text = re.sub(r"(?m)^        quality: .*\n", "", text)
    if quality:
        text = re.sub(r"(?m)^(        checks: \[.*\])$", rf"\g<1>\n        quality: {quality}", text)
    project.write(RUNBOOK, text)


def off_and_running(project: Project) -> None:
    """Every improvement is off, and the trainer runs: where re-enabling begins."""
    done = project.run("rollback", "--immediate", "--yes")
    assert done.code == 0, done
    project.start_trainer()
