"""A real cluster for the session; each test leaves it without a job. Where there can be none, the tests are skipped;
`make test-slurm` sets ATFTCTL_SLURM=required, and then they fail."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import PATH, Cluster, missing


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    """The cluster of the session. No process of it is left at the end."""
    if reason := missing():
        (pytest.fail if os.environ.get("ATFTCTL_SLURM") == "required" else pytest.skip)(reason)
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="atftctl-slurm.")))
    cluster.start()
    yield cluster
    cluster.stop()
    assert cluster.processes() == []


@pytest.fixture
def cluster(running_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, named by SLURM_CONF. A test that leaves a job fails."""
    monkeypatch.setenv("SLURM_CONF", str(running_cluster.conf))
    monkeypatch.setenv("PATH", PATH)
    yield running_cluster
    left = running_cluster.left_over()
    running_cluster.clear()
    assert left == [], "the test left jobs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a job, which the nodes see under the same name."""
    (tmp_path / "job" / "exits").mkdir(parents=True)
    return tmp_path / "job"
