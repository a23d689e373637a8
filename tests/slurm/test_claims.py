"""What Slurm says of a job beside what is true: the reasons why its word is no proof."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

import pytest

from atftctl.host.slurm.control import cancel
from atftctl.host.slurm.facts import Job, JobFacts
from atftctl.host.slurm.listing import show
from atftctl.host.slurm.states import Claim
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import TRAINER, by_hand, exits, log, start


@dataclass
class Aftermath:
    """What was seen of jobs that met with an accident, by their names. `alive`: did they write after their end?"""

    folder: Path
    facts: dict[str, JobFacts] = field(default_factory=dict)
    alive: dict[str, bool] = field(default_factory=dict)


@pytest.fixture(scope="module")
def aftermath(running_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """All accidents at once, since Slurm takes half a minute to see some of them: a lost node, an exceeded time limit,
    too much memory, a cancelled job, and a job that somebody puts back into the queue."""
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(running_cluster.conf)
    folder = tmp_path_factory.mktemp("aftermath")
    (folder / "exits").mkdir()
    away, here = "--exclude=n1", f"python3 -S {TRAINER} {folder}"
    ours = {"extra": (away,), "time_limit": "30"}
    jobs = {
        "lost": start(folder, "lost", "deaf", extra=("--nodelist=n1",)),
        "late": start(folder, "late", "save", signal_before_s=3600, **ours),
        "deaf": start(folder, "deaf", "deaf", signal_before_s=60, **ours),
        "hungry": start(folder, "hungry", "memory", "400", memory_mb=100, **ours),
        "behind": by_hand(folder, f"srun {here}/behind.log memory 400\nsleep 1", "--mem=100", away),
        "child": by_hand(folder, f"trap 'exit 0' TERM; setsid {here}/child.log deaf & wait", away),
        "again": by_hand(folder, f"exec {here}/again.log deaf", "--requeue", away),
    }
    seen = Aftermath(folder)
    try:
        _meet_with_accidents(running_cluster, folder, jobs)
        for name, job in jobs.items():
            facts = show(folder, job)
            assert facts is not None
            seen.facts[name] = facts
        lines = {name: len(log(folder, name)) for name in jobs}
        time.sleep(0.5)
        seen.alive = {name: len(log(folder, name)) > count for name, count in lines.items()}
        yield seen
    finally:
        for name in jobs:
            _kill_left(folder, name)
        running_cluster.node_up(1)
        running_cluster.clear()
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def _meet_with_accidents(cluster: Cluster, folder: Path, jobs: dict[str, Job]) -> None:
    for name in ("lost", "late", "deaf", "child", "again"):
        cluster.wait(lambda name=name: len(log(folder, name)) > 1, 30)
    cluster.node_down(1)
    cluster.run("scontrol", "update", f"JobId={jobs['deaf']}", "EndTime=now+2")
    cancel(folder, jobs["child"])
    cluster.run("scontrol", "requeue", str(jobs["again"]))
    ends = {"lost": "NODE_FAIL", "late": "FAILED", "deaf": "TIMEOUT", "hungry": "FAILED", "behind": "COMPLETED"}
    for name, state in {**ends, "child": "CANCELLED", "again": "PENDING"}.items():
        cluster.wait_state(jobs[name].job_id, state, limit_s=90)


def _kill_left(folder: Path, name: str) -> None:
    """Kill the trainer of a job, if this number is still that of the trainer."""
    for line in log(folder, name)[:1]:
        pid = int(line.split()[1])
        with suppress(OSError):
            if f"{folder}/{name}.log".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, SIGKILL)


def codes(aftermath: Aftermath, name: str) -> list[int]:
    """The exit code that the keeper of this job has written, or none."""
    body = exits(aftermath.folder, name)
    return [end["code"] for end in body["ends"] if end["pid"] == body["pid"]]


def test_a_lost_node_is_said_to_have_ended_the_job_whose_trainer_goes_on(aftermath: Aftermath) -> None:
    assert (aftermath.facts["lost"].state, aftermath.facts["lost"].claim) == ("NODE_FAIL", Claim.ENDED)
    assert aftermath.alive["lost"]
    assert codes(aftermath, "lost") == []


def test_a_trainer_is_asked_to_stop_before_the_time_limit(aftermath: Aftermath) -> None:
    assert codes(aftermath, "late") == [10]
    assert log(aftermath.folder, "late")[-1] == "saved"


def test_the_time_limit_kills_a_trainer_that_does_not_stop(aftermath: Aftermath) -> None:
    assert (aftermath.facts["deaf"].state, aftermath.facts["deaf"].reason) == ("TIMEOUT", "TimeLimit")
    assert "signal 15" in log(aftermath.folder, "deaf")
    assert not aftermath.alive["deaf"]
    assert codes(aftermath, "deaf") == []


def test_too_much_memory_leaves_no_exit_code(aftermath: Aftermath) -> None:
    assert (aftermath.facts["hungry"].signal, aftermath.facts["hungry"].exit_code) == (9, None)
    assert codes(aftermath, "hungry") == []
    assert not aftermath.alive["hungry"]


def test_a_step_that_was_killed_leaves_a_job_that_is_said_to_be_completed(aftermath: Aftermath) -> None:
    assert (aftermath.facts["behind"].state, aftermath.facts["behind"].exit_code) == ("COMPLETED", 0)
    assert len(log(aftermath.folder, "behind")) < 300


def test_a_child_of_the_batch_shell_outlives_its_job(aftermath: Aftermath) -> None:
    assert (aftermath.facts["child"].state, aftermath.facts["child"].claim) == ("CANCELLED", Claim.ENDED)
    assert aftermath.alive["child"]


def test_a_job_that_was_requeued_waits_under_its_number(aftermath: Aftermath) -> None:
    again = aftermath.facts["again"]
    assert (again.claim, again.restarts, again.start_time, again.nodes) == (Claim.WAITING, 1, None, "")
