"""Fixtures: a scratch project, and the check that no test signals a process that it did not start."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from tests.support import today
from tests.support.projects import Project, ask_trainer, make_project, processes_of

# A shell that started the tests in the background left SIGINT ignored, which children inherit: Ctrl-C is tested here.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy with other tests makes examples slowly; that is no fault of what is tested.
with suppress(ImportError):
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "busy", deadline=None, max_examples=today.examples(100), suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("busy")


SLOW = ("test_real_", "test_trainer_check", "test_watch_acts", "test_confirm", "test_full", "test_gates", "test_git.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes a minute: at the end, the other workers would wait for it. Each worker of pytest-xdist begins
    with an equal part of the list, so that the slow files are dealt out to the beginnings of these parts."""
    slow = [item for item in items if item.path.name.startswith(SLOW)]
    files = list(dict.fromkeys(item.path for item in slow))
    quick = iter([item for item in items if not item.path.name.startswith(SLOW)])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    size = -(-len(items) // workers)
    ordered = list[pytest.Item]()
    for worker in range(workers):
        part = [item for item in slow if files.index(item.path) % workers == worker]
        ordered += [*part, *islice(quick, max(0, size - len(part)))]
    items[:] = [*ordered, *quick]


def pytest_collection_finish() -> None:
    """Thousands of tests are in memory by now: neither a collection nor a fork has to look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a stand-in trainer. Whatever runs in it at the end is killed, and no foreign process was signalled."""
    violations = tmp_path / "violations"
    made = make_project(tmp_path / "project", violations)
    yield made
    for pid in processes_of(made.root):
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(pid, signal.SIGKILL)
    assert not violations.exists(), violations.read_text()


@pytest.fixture
def asking(project: Project) -> Project:
    """A project whose changes ask the real trainer whether its settings are valid."""
    return ask_trainer(project)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a project in which no command is run as a process of its own."""
    return make_project(tmp_path / "project", tmp_path / "violations").root
