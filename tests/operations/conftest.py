"""The real trainer for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.support.projects import RUNBOOK, TRAINING, Project, real_trainer


@pytest.fixture
def real(project: Project) -> Project:
    """The project with the real trainer on a small market, quick to evaluate."""
    real_trainer(project)
    project.replace(RUNBOOK, "probe_steps: 60", "probe_steps: 50")
    project.replace(TRAINING, "evaluate_every: 200", "evaluate_every: 30")
    return project
