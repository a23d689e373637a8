"""Submit, find, see and end jobs on a real cluster."""

from __future__ import annotations

import getpass
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM

import pytest

from atftctl.host.slurm.accounting import accounting
from atftctl.host.slurm.batch_script import OnSignal
from atftctl.host.slurm.cluster import is_installed, partitions, ping
from atftctl.host.slurm.control import Whom, cancel, send_signal
from atftctl.host.slurm.errors import Cause, NoSuchJobError, SubmitRejectedError
from atftctl.host.slurm.facts import Job
from atftctl.host.slurm.listing import elements, find_by_comment, jobs, show
from atftctl.host.slurm.states import Claim
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import by_hand, exits, log, mark, start


def test_a_job_is_found_by_its_mark_stopped_by_a_signal_and_its_exit_code_is_kept(
    cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")  # as in a shell, or in a job that we run in
    monkeypatch.setenv("SQUEUE_USERS", "nobody")
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    job = start(folder, "run-1", env=(("A", "it's\n$HOME"),), name='a "b" #c', time_limit="10")
    other = start(folder, "run-11", name='a "b" #c')
    cluster.wait(lambda: len(log(folder, "run-1")) > 2, 30)
    [found] = find_by_comment(folder, mark(folder, "run-1"), user=getpass.getuser())
    assert (found.job, found.state, found.claim) == (job, "RUNNING", Claim.RUNNING)
    assert (found.cluster, found.name, found.partition, found.user) == ("small", 'a "b" #c', "main", getpass.getuser())
    assert (found.restarts, found.requeue, found.batch, found.is_array) == (0, False, True, False)
    assert found.work_dir == str(folder)
    assert found.nodes in cluster.names()
    begun = exits(folder, "run-1")
    assert (begun["job"], begun["host"], begun["restarts"], begun["ends"]) == (job.job_id, found.nodes, 0, [])
    environment = Path(f"/proc/{begun['pid']}/environ").read_bytes().split(b"\0")
    assert b"A=it's\n$HOME" in environment
    assert not [entry for entry in environment if entry.startswith((b"SECRET_", b"SBATCH_", b"SQUEUE_", b"LC_ALL"))]
    send_signal(folder, job, SIGTERM, Whom.BATCH)
    cluster.wait_state(job.job_id, "FAILED")  # so Slurm calls a trainer that saved and ended as it was asked to
    assert log(folder, "run-1").count("signal 15") == 1
    assert log(folder, "run-1")[-1] == "saved"
    assert [(end["pid"], end["code"]) for end in exits(folder, "run-1")["ends"]] == [(begun["pid"], 10)]
    ended = show(folder, job)
    assert ended is not None
    assert (ended.claim, ended.exit_code, ended.signal) == (Claim.ENDED, 10, None)
    assert ended.submit_time == found.submit_time
    assert ended.submit_time <= (ended.start_time or 0) <= (ended.end_time or 0)
    assert accounting(folder, job) == ()
    cancel(folder, other)
    cluster.wait_state(other.job_id, "CANCELLED")
    cancel(folder, other)


def test_both_ways_of_listing_say_the_same(cluster: Cluster, folder: Path) -> None:
    running = start(folder, "run", name="x Requeue=1 Restarts=7 BatchFlag=0 Reboot=0 ExitCode=9:9 ", extra=("--hold",))
    ended = start(folder, "ended", "exit", "3")
    array = by_hand(folder, "exec sleep 60", "--array=1-3", "--hold", "--comment=two words")
    cluster.wait_state(ended.job_id, "FAILED")
    by_json = {facts.job_id: facts for facts in jobs(folder)}
    for job in (ended, array):
        assert show(folder, job) == by_json[job.job_id]
    unsure = replace(by_json[running.job_id], restarts=None, requeue=None, batch=None)  # its name looks like the answer
    assert show(folder, running) == unsure
    assert by_json[array.job_id].has_mark("words")
    assert by_json[array.job_id].is_array
    assert [facts.array_tasks for facts in elements(folder, array)] == ["1-3"]
    for job in (running, array):
        cancel(folder, job)


def test_a_run_starts_once(cluster: Cluster, folder: Path) -> None:
    first = start(folder, "once")
    cluster.wait(lambda: bool(log(folder, "once")), 30)
    second = start(folder, "once")
    cluster.wait_state(second.job_id, "FAILED")
    assert [facts.job for facts in find_by_comment(folder, mark(folder, "once"))] == [second, first]
    assert "has been started before and is not started again" in (folder / "once.out").read_text()
    assert len([line for line in log(folder, "once") if line.startswith("start")]) == 1
    assert exits(folder, "once")["job"] == first.job_id
    assert "disabled" in cluster.run("scontrol", "requeue", str(first), check=False)
    cancel(folder, first)


def test_a_folder_that_the_node_does_not_have(cluster: Cluster, folder: Path) -> None:
    job = start(folder, "run", exits=str(folder / "not-here" / "run.json"))
    other = start(folder, "other", python=str(folder / "python"))
    cluster.wait_state(job.job_id, "FAILED")
    cluster.wait_state(other.job_id, "FAILED")
    assert f"not started: can't write {folder}/not-here/run.json on n" in (folder / "run.out").read_text()
    assert f"this node has no {folder}/python, so that nothing is started" in (folder / "other.out").read_text()
    assert log(folder, "run") == log(folder, "other") == []


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"partition": "nowhere"}, Cause.PARTITION),
        ({"partition": "others"}, Cause.ACCOUNT),
        ({"partition": "short", "time_limit": "5"}, Cause.LIMITS),
        ({"memory_mb": 100_000}, Cause.LIMITS),
        ({"nodes": 99}, Cause.LIMITS),
        ({"extra": ("--nonsense",)}, Cause.SCRIPT),
    ],
)
def test_what_slurm_refuses(cluster: Cluster, folder: Path, change: dict[str, object], cause: Cause) -> None:
    with pytest.raises(SubmitRejectedError) as refused:
        start(folder, "run", **change)
    assert refused.value.cause is cause, refused.value.message


def test_a_job_that_waits_says_why(cluster: Cluster, folder: Path) -> None:
    whole = [start(folder, f"run-{number}", memory_mb=1900) for number in range(4)]
    closed = start(folder, "closed", partition="closed")
    cluster.wait(lambda: [facts.state for facts in jobs(folder)[-5:]].count("RUNNING") == 3, 30)
    cluster.wait(lambda: all(show(folder, job).reason for job in (whole[3], closed)), 30)
    waiting, shut = show(folder, whole[3]), show(folder, closed)
    assert waiting is not None
    assert shut is not None
    assert (waiting.claim, waiting.reason, waiting.start_time, waiting.nodes) == (Claim.WAITING, "Resources", None, "")
    assert (shut.claim, shut.reason) == (Claim.WAITING, "PartitionDown")
    for job in (*whole, closed):
        cancel(folder, job)


def test_several_nodes_stop_by_the_file(cluster: Cluster, folder: Path) -> None:
    request = (str(folder / "request.json"), '{"want": "stop"}')
    job = start(folder, "run", srun=True, nodes=2, on_signal=OnSignal.REQUEST, stop_request=request)
    cluster.wait(lambda: len([line for line in log(folder, "run") if line.startswith("start")]) == 2, 30)
    send_signal(folder, job, SIGTERM, Whom.BATCH)
    cluster.wait((folder / "request.json").exists, 10)
    assert (folder / "request.json").read_text() == request[1]
    assert "signal 15" not in log(folder, "run")
    send_signal(folder, job, SIGTERM, Whom.STEPS)
    cluster.wait_state(job.job_id, "FAILED")
    assert (log(folder, "run").count("signal 15"), log(folder, "run").count("saved")) == (2, 2)
    keeper = exits(folder, "run")
    assert [end["code"] for end in keeper["ends"] if end["pid"] == keeper["pid"]] == [10]


def test_what_is_there(cluster: Cluster, folder: Path) -> None:
    assert is_installed(folder)
    assert ping(folder)
    by_name = {partition.name: partition for partition in partitions(folder)}
    assert list(by_name) == ["closed", "main", "others", "short", "urgent"]
    assert (by_name["main"].default, by_name["main"].up, by_name["main"].nodes) == (True, True, 3)
    assert (by_name["closed"].up, by_name["short"].max_time, by_name["short"].default) == (False, "1:00", False)
    assert show(folder, Job(4711)) is None
    with pytest.raises(NoSuchJobError):
        send_signal(folder, Job(4711), SIGTERM, Whom.BATCH)
