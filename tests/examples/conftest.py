"""The examples as projects of their own, with the real frameworks. Where these are missing, the tests are skipped;
`make test-examples` sets ATFTCTL_EXAMPLES=required, and then they fail."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.projects import NOT_INHERITED, ROOT, Project, processes_of


def need(*packages: str) -> None:
    """Skip or fail a test whose packages are missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        required = os.environ.get("ATFTCTL_EXAMPLES") == "required"
        (pytest.fail if required else pytest.skip)(f"{missing[0]} is not installed: make test-examples")


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Callable[[str], Project]]:
    """Copy an example into a project; whatever runs in it at the end is killed."""
    violations = tmp_path / "violations"
    guarded = ROOT / "tests" / "support" / "children" / "guarded"
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)},
        "PYTHONPATH": f"{guarded}{os.pathsep}{ROOT}",
        "ATFTCTL_TEST": "1",
        "ATFTCTL_TEST_VIOLATIONS": str(violations),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    made: list[Project] = []

    def make(name: str) -> Project:
        shutil.copytree(ROOT / "examples" / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        made.append(Project(tmp_path / name, env))
        return made[-1]

    yield make
    for project in made:
        for pid in processes_of(project.root):
            os.kill(pid, signal.SIGKILL)
    assert not violations.exists(), violations.read_text()
