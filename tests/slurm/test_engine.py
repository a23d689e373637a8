"""The commands of atftctl with a trainer that is a job: on a real cluster, as a user runs them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.cli.test_process_rules import killed_at
from tests.slurm.cluster import PATH, Cluster
from tests.support.projects import OOM, RUNBOOK, Project, make_project, wait_for

NEXT = "  processes: "  # the line after the keys of the engine


@pytest.fixture
def jobs(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A scratch project whose trainer is a job."""
    monkeypatch.delenv("SLURM_CONF")  # the process that runs commands would keep it, and outlive the cluster
    project = make_project(tmp_path / "project", tmp_path / "violations")
    project.env.update(SLURM_CONF=str(cluster.conf), PATH=PATH)
    project.replace(RUNBOOK, NEXT, "  engine: slurm\n  slurm: {partition: main, memory: 200M}\n" + NEXT)
    return project


def state_of(project: Project) -> str:
    status = project.run("trainer", "status", "--json")
    assert status.code == 0, status
    return str(status.json["data"]["state"])


def marked(cluster: Cluster) -> list[str]:
    """The jobs that atftctl has submitted and that are not over, by their comments."""
    return [line for line in cluster.run("squeue", "--noheader", "--format=%k").split() if line.startswith("atftctl-")]


def by_hand(project: Project, cluster: Cluster, *options: str) -> int:
    """Somebody submits the trainer without atftctl."""
    script = project.root.parent / "by-hand.sh"
    script.write_text("#!/bin/sh\nexec sleep 300\n")
    output = f"--output={project.root.parent}/by-hand.log"
    return int(cluster.run("sbatch", "--parsable", f"--chdir={project.root}", output, *options, str(script)))


def test_a_rollback_and_its_undo(jobs: Project, cluster: Cluster) -> None:
    assert jobs.run("runbook", "lint").code == 0
    jobs.start_trainer()
    before, first = jobs.configs(), jobs.record()
    done = jobs.run(*OOM)
    assert done.code == 0 and f"stop the trainer (job {first['pid']})" in done.out, done
    second = jobs.record()
    assert second["pid"] != first["pid"] and second["generation"] == first["generation"] + 1
    assert second["engine"] == "slurm" and second["boot"] and second["ticks"], second
    assert jobs.configs() != before and len(marked(cluster)) == 1
    assert jobs.run("undo", "--yes").code == 0
    assert jobs.configs() == before and len(marked(cluster)) == 1
    stopped = jobs.run("trainer", "stop")
    assert stopped.code == 0 and "had to be killed" not in stopped.out, stopped
    assert state_of(jobs) == "stopped" and marked(cluster) == []


@pytest.mark.parametrize("command", [("trainer", "start"), OOM])
def test_a_job_whose_number_was_never_recorded_is_found(
    jobs: Project, cluster: Cluster, command: tuple[str, ...]
) -> None:
    """The tool is killed between the submission and the record."""
    if command is OOM:
        jobs.start_trainer()
    killed_at(jobs, "atftctl.state.engines.slurm_start.look", *command)
    assert jobs.record()["pid"] == 0 and len(marked(cluster)) == 1
    if command is OOM:
        recovered = jobs.run("recover")
        assert recovered.code == 0, recovered
    again = jobs.run("trainer", "start")
    assert again.code == 3 and "already" in again.err, again
    assert len(marked(cluster)) == 1
    assert jobs.run("trainer", "stop").code == 0 and marked(cluster) == []


def test_a_job_whose_submission_was_not_answered_is_found(jobs: Project, cluster: Cluster) -> None:
    """sbatch hangs after the job was accepted. The job has the environment of the command, and none of this machine."""
    fake = jobs.root.parent / "bin" / "sbatch"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n/usr/bin/sbatch "$@"\nexec sleep 60\n')
    fake.chmod(0o755)
    seen = jobs.root / "seen"
    jobs.replace(RUNBOOK, "  command: [", f"  command: [/bin/sh, -c, 'env > {seen}; exec \"$@\"', sh, ")
    env = {"PATH": f"{fake.parent}:{PATH}", "OUR_TOKEN": "t", "CUDA_VISIBLE_DEVICES": "7"}
    started = jobs.run("trainer", "start", env=env)
    assert started.code == 0 and len(marked(cluster)) == 1, started
    lines = seen.read_text().splitlines()
    assert "OUR_TOKEN=t" in lines and "CUDA_VISIBLE_DEVICES=7" not in lines
    assert f"ATFTCTL_RUN_ID={jobs.record()['run_id']}" in lines
    assert jobs.run("trainer", "stop").code == 0 and marked(cluster) == []


def test_the_queue_is_no_failure(jobs: Project, cluster: Cluster) -> None:
    filler = cluster.run("sbatch", "--parsable", "--chdir=/", "--output=/dev/null", "--exclusive",
                         f"--nodes={cluster.size.nodes}", "--wrap=sleep 300")  # fmt: skip
    cluster.wait_state(int(filler), "RUNNING")
    starting = jobs.start("trainer", "start")
    wait_for(lambda: state_of(jobs) == "waiting")
    assert "waits in the queue" in jobs.run("status").out
    starting.send_signal(signal.SIGINT)
    out, err = starting.communicate(timeout=60)
    assert starting.returncode == 130 and "it stays there" in out, (out, err)
    again = jobs.run("trainer", "start")
    assert again.code == 3 and "already submitted" in again.err, again
    assert jobs.run("trainer", "stop").code == 0
    assert state_of(jobs) == "stopped" and marked(cluster) == []
    jobs.replace(RUNBOOK, NEXT, "  queue_s: 1\n" + NEXT)
    late = jobs.run("trainer", "start")
    assert late.code == 1 and "still waits in the queue after 1 s" in late.out, late
    cluster.run("scancel", filler)
    wait_for(lambda: state_of(jobs) == "running")
    assert jobs.run("trainer", "stop").code == 0


def test_a_scheduler_that_does_not_answer_is_not_waited_for(jobs: Project, cluster: Cluster) -> None:
    jobs.start_trainer()
    cluster.freeze_controller()
    try:
        began = time.monotonic()
        status = jobs.run("trainer", "status")
        assert "running" in status.out and "squeue did not end within" in status.out, status
        assert "died" not in status.out
        assert time.monotonic() - began < 30  # a bound on hangs, on a machine that is three times slower
        started = jobs.run("trainer", "start")
        assert started.code == 3 and "already running" in started.err, started
    finally:
        cluster.thaw_controller()
    assert jobs.run("trainer", "stop").code == 0 and marked(cluster) == []


def test_jobs_of_others(jobs: Project, cluster: Cluster) -> None:
    number = by_hand(jobs, cluster)
    cluster.wait_state(number, "RUNNING")
    refused = jobs.run("trainer", "start")
    assert refused.code == 3 and f"--adopt {number}" in refused.err, refused
    assert jobs.run("trainer", "stop", "--adopt", str(number + 1)).code == 3
    adopted = jobs.run("trainer", "stop", "--adopt", str(number))
    assert adopted.code == 0 and f"job {number}" in adopted.out, adopted
    array = by_hand(jobs, cluster, "--array=1-2")
    refused = jobs.run("trainer", "stop", "--adopt", str(array))
    assert (refused.code == 3 and "job array" in refused.err) or "is not a manually started" in refused.err, refused
    cluster.run("scancel", str(array))


def test_a_lost_node_needs_a_person_or_the_fence(jobs: Project, cluster: Cluster) -> None:
    jobs.behave("silent")
    jobs.run("trainer", "start", limit_s=60)
    record = jobs.record()
    node = int(cluster.run("squeue", "--noheader", f"--jobs={record['pid']}", "--format=%N").removeprefix("n"))
    keeper = _processes_with(f"ATFTCTL_RUN_ID={record['run_id']}")
    cluster.node_down(node)
    cluster.wait_state(record["pid"], "NODE_FAIL", limit_s=90)
    assert state_of(jobs) in ("starting", "running"), "its keeper still gives signs of life"
    for pid in keeper:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: state_of(jobs) == "lost")
    refused = jobs.run("trainer", "restart")
    assert refused.code == 5 and "NODE_FAIL" in refused.err and "--fence" in refused.err, refused
    jobs.behave()
    going_on = jobs.run("trainer", "restart", "--fence", limit_s=180)
    assert going_on.code == 0 and "behind the fence" in going_on.out + going_on.err, going_on
    assert jobs.run("trainer", "stop").code == 0
    cluster.node_up(node)


def _processes_with(mark: str) -> list[int]:
    from atftctl.host.process import table

    nobody = table.Identity(0, 0, table.boot_id())
    children = [process.pid for process in table.members(nobody, mark)]
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in children}
    keepers = [pid for pid in parents if "-I" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    return [*keepers, *children]


def test_a_partition_that_does_not_exist(jobs: Project) -> None:
    jobs.replace(RUNBOOK, "partition: main", "partition: mian")
    lint = jobs.run("runbook", "lint")
    assert lint.code == 1 and "no partition 'mian'" in lint.out and "main" in lint.out, lint
    refused = jobs.run("trainer", "start")
    assert refused.code == 5 and "partition" in refused.err, refused
    assert state_of(jobs) == "never started"


def test_an_engine_that_was_changed_while_a_job_runs(jobs: Project) -> None:
    jobs.start_trainer()
    jobs.replace(RUNBOOK, "  engine: slurm\n  slurm: {partition: main, memory: 200M}\n", "")
    refused = jobs.run("trainer", "start")
    assert refused.code == 3 and "another engine (slurm, job" in refused.err, refused
    jobs.replace(RUNBOOK, NEXT, "  engine: slurm\n" + NEXT)
    assert jobs.run("trainer", "stop").code == 0


def test_a_requeue_by_hand_starts_no_second_trainer(jobs: Project, cluster: Cluster) -> None:
    """Somebody allows it, and starts our job again: another run under the same number, which is not started."""
    jobs.start_trainer()
    record = jobs.record()
    number = str(record["pid"])
    cluster.run("scontrol", "update", f"JobId={number}", "Requeue=1")
    cluster.run("scontrol", "requeue", number)
    wait_for(lambda: state_of(jobs) in ("stopped", "died"))
    cluster.run("scontrol", "update", f"JobId={number}", "StartTime=now")  # and not after two minutes
    output = jobs.root / record["output"]
    wait_for(lambda: "has been started before and is not started again" in output.read_text())
    cluster.wait_state(record["pid"], "FAILED", limit_s=60)
    assert any(name.name.startswith(f"{record['generation']}.fenced") for name in (jobs.root / "run").iterdir())
    assert jobs.run("trainer", "start").code == 0
    assert jobs.record()["pid"] != record["pid"] and len(marked(cluster)) == 1
    assert jobs.run("trainer", "stop").code == 0


def test_a_job_that_has_to_be_killed_is_shown_to_have_ended(jobs: Project, cluster: Cluster) -> None:
    jobs.behave("ignore-term")
    jobs.start_trainer()
    stopped = jobs.run("trainer", "stop", limit_s=180)
    assert stopped.code == 0 and "had to be killed" in stopped.out, stopped
    assert state_of(jobs) == "stopped" and marked(cluster) == []
