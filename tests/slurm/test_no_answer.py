"""A controller that hangs, is gone, or prints something else: what the caller learns, and how long that takes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atftctl.host.slurm.batch_script import script
from atftctl.host.slurm.cluster import partitions, ping
from atftctl.host.slurm.control import cancel
from atftctl.host.slurm.errors import (
    BadOutputError,
    SlurmError,
    SlurmLateError,
    SlurmUnreachableError,
    SubmitUnknownError,
)
from atftctl.host.slurm.facts import Job
from atftctl.host.slurm.listing import find_by_comment, jobs, show
from atftctl.host.slurm.submit import submit
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import mark, spec, start

LIMIT_S = 10.0  # that no call may exceed, whatever Slurm does


def all_at_once(folder: Path) -> dict[str, object]:
    """What each call returns or raises, with the seconds that it took."""
    calls: dict[str, Callable[[], object]] = {
        "submit": lambda: submit(folder, script(spec(folder, "hanging"))),
        "jobs": lambda: jobs(folder),
        "find": lambda: find_by_comment(folder, mark(folder, "hanging")),
        "show": lambda: show(folder, Job(1)),
        "cancel": lambda: cancel(folder, Job(1)),
        "partitions": lambda: partitions(folder),
        "ping": lambda: ping(folder),
    }

    def timed(call: Callable[[], object]) -> tuple[object, float]:
        begun = time.monotonic()
        try:
            result = call()
        except SlurmError as error:
            result = error
        return result, time.monotonic() - begun

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = {name: pool.submit(timed, call) for name, call in calls.items()}
    results = {name: answer.result() for name, answer in answers.items()}
    assert max(took for _, took in results.values()) < LIMIT_S, results
    return {name: result for name, (result, _) in results.items()}


def test_a_controller_that_hangs(cluster: Cluster, folder: Path) -> None:
    cluster.freeze_controller()
    try:
        results = all_at_once(folder)
    finally:
        cluster.thaw_controller()
    assert isinstance(results["submit"], SubmitUnknownError)
    assert all(
        isinstance(results[name], SlurmLateError) for name in ("jobs", "find", "show", "cancel", "partitions")
    ), results
    # The request was in the queue of the controller's socket: the job that nobody knows of is accepted now.
    cluster.wait(lambda: bool(find_by_comment(folder, mark(folder, "hanging"))), 20)
    [found] = find_by_comment(folder, mark(folder, "hanging"))
    cancel(folder, found.job)
    cluster.wait_state(found.job_id, "CANCELLED")


def test_a_controller_that_is_gone(cluster: Cluster, folder: Path) -> None:
    job = start(folder, "run")
    cluster.wait_state(job.job_id, "RUNNING")
    cluster.controller_down()
    try:
        results = all_at_once(folder)
    finally:
        cluster.controller_up()
    assert results.pop("ping") is False
    # The commands of Slurm try for nine seconds, and say then that they can't reach it; on a busy machine we are first.
    reached = {SlurmUnreachableError, SlurmLateError, SubmitUnknownError}
    assert {type(result) for result in results.values()} <= reached, results
    assert not find_by_comment(folder, mark(folder, "hanging")), "sbatch said that the job was not accepted"
    assert cluster.state(job.job_id) == "RUNNING"
    cancel(folder, job)


@pytest.fixture
def in_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a script in the place of a command; it may call the real one as "$REAL"."""
    (tmp_path / "bin").mkdir()

    def put(command: str, text: str) -> None:
        real = shutil.which(command)
        file = tmp_path / "bin" / command
        file.write_text(f"#!/bin/sh\nREAL={real}\n{text}\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    return put


def test_a_warning_before_the_json(cluster: Cluster, folder: Path, in_front: Callable[[str, str], None]) -> None:
    job = start(folder, "run", extra=("--hold",))
    in_front("squeue", 'echo "{ squeue: warning: the module slurm/22 is deprecated"; exec "$REAL" "$@"')
    assert [facts.job for facts in find_by_comment(folder, mark(folder, "run")) if facts.state == "PENDING"] == [job]
    cancel(folder, job)


def test_no_json_at_all(cluster: Cluster, folder: Path, in_front: Callable[[str, str], None]) -> None:
    in_front("squeue", "echo welcome to the cluster")
    with pytest.raises(BadOutputError, match="printed no JSON with jobs: welcome to the cluster"):
        jobs(folder)


def test_a_squeue_without_json(cluster: Cluster, folder: Path, in_front: Callable[[str, str], None]) -> None:
    job = start(folder, "run", extra=("--hold",))
    expected = jobs(folder)
    in_front(
        "squeue",
        'case "$*" in *--json*) echo "squeue: unrecognized option \'--json\'" >&2; exit 1;; esac; exec "$REAL" "$@"',
    )
    listed = {facts.job_id: facts for facts in jobs(folder)}
    assert len(listed) == len(expected)
    for facts in expected:
        text = listed[facts.job_id]
        assert (text.states, text.comment, text.submit_time) == (facts.states, facts.comment, facts.submit_time)
    cancel(folder, job)
