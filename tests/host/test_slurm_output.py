"""What the commands of Slurm print, in the formats of several versions: recorded, and made by hand (tests/data/slurm)."""

from __future__ import annotations

from pathlib import Path

import pytest

from atftctl.host.slurm.accounting import parse_accounts
from atftctl.host.slurm.errors import (
    BadOutputError,
    Cause,
    NoSuchJobError,
    SlurmUnreachableError,
    cause_of,
    failed,
    quoted,
)
from atftctl.host.slurm.facts import JobFacts
from atftctl.host.slurm.json_output import parse_jobs
from atftctl.host.slurm.states import ENDED, RUNNING, WAITING, Claim, claim_of, words_of

DATA = Path(__file__).parents[1] / "data" / "slurm"


def sample(name: str) -> dict[int, JobFacts]:
    return {job.job_id: job for job in parse_jobs((DATA / f"{name}.json").read_text())}


def test_version_22_05() -> None:
    jobs = sample("22.05-v0.0.38")
    assert [job.state for job in jobs.values()] == ["RUNNING", "FAILED", "FAILED", "PENDING"]
    running, killed, three, array = jobs.values()
    assert (running.cluster, running.name, running.comment) == ("small", 'train "a"', "run-1 of atftctl")
    assert running.has_mark("run-1")
    assert not running.has_mark("run")
    assert (running.claim, running.end_time, running.exit_code) == (Claim.RUNNING, None, None)  # Slurm expects an end
    assert (killed.exit_code, killed.signal, three.exit_code, three.signal) == (None, 9, 3, None)
    assert (array.array_id, array.array_tasks, array.is_array, running.is_array) == (array.job_id, "1-3", True, False)
    assert (array.start_time, array.reason) == (None, "JobHeldUser")


def test_version_21_08() -> None:
    jobs = sample("21.08-v0.0.37")
    assert (jobs[701].state, jobs[701].requeue, jobs[701].restarts) == ("RUNNING", None, 0)
    assert (jobs[700].exit_code, jobs[700].user) == (10, "1001")


def test_version_23_02() -> None:
    jobs = sample("23.02-v0.0.39")
    assert (jobs[9001].claim, jobs[9001].array_id, jobs[9001].array_tasks) == (Claim.WAITING, 9000, "14")
    assert (jobs[9001].restarts, jobs[9001].start_time, jobs[9001].exit_code) == (1, None, None)
    assert (jobs[9002].signal, jobs[9002].exit_code, jobs[9002].is_array) == (9, None, False)


def test_version_23_11() -> None:
    jobs = sample("23.11-v0.0.40")
    assert (jobs[10].state, jobs[10].claim, jobs[10].signal) == ("OUT_OF_MEMORY", Claim.ENDED, 9)
    assert (jobs[10].submit_time, jobs[10].end_time) == (1700000000, 1700000900)
    assert (jobs[11].claim, jobs[11].exit_code, jobs[11].end_time) == (Claim.RUNNING, None, None)


def test_version_24_05() -> None:
    jobs = sample("24.05-v0.0.41")
    assert [jobs[number].claim for number in (12, 13, 14, 15)] == [
        Claim.RUNNING, Claim.ENDED, Claim.WAITING, Claim.UNKNOWN,
    ]  # fmt: skip
    assert (jobs[12].restarts, jobs[12].end_time) == (2, None)
    assert (jobs[13].exit_code, jobs[13].signal) == (10, None)
    assert (jobs[15].exit_code, jobs[15].end_time) == (None, None)
    assert sample("24.05-no-such-job") == {}


def test_an_empty_list_beside_an_error_is_no_empty_queue() -> None:
    with pytest.raises(
        SlurmUnreachableError, match="could not list the jobs: Failed while looking for jobs Unspecified"
    ):
        sample("22.05-no-controller")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "welcome",
        '{"jobs": [',
        '{"jobs": 3}',
        '{"jobs": [3]}',
        '{"jobs": [{"job_state": "RUNNING"}]}',
        "{" * 9999,
        "[]",
    ],
)
def test_what_can_not_be_read(text: str) -> None:
    with pytest.raises(BadOutputError):
        parse_jobs(text)


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", '"x"', "null", "[]", "true", "1e400", '{"number": {}}', '{"set": 1}']
)
def test_a_number_that_is_none(value: str) -> None:
    [job] = parse_jobs(
        f'warning: {{\n{{"jobs": [{{"job_id": 1, "job_state": "FAILED", "submit_time": {value}, "exit_code": {value}, '
        f'"restart_cnt": {value}, "array_job_id": {value}, "comment": {value}, "requeue": {value}}}]}}\nwarning: }}'
    )
    assert (job.submit_time, job.exit_code, job.restarts, job.array_id) == (None, None, None, 0)


def test_states() -> None:
    assert {claim_of((state,)) for state in WAITING} == {Claim.WAITING}
    assert {claim_of((state,)) for state in RUNNING} == {Claim.RUNNING}
    assert {claim_of((state,)) for state in ENDED} == {Claim.ENDED}
    assert claim_of(()) is claim_of(("",)) is claim_of(("COMPLETED", "SOMETHING")) is Claim.UNKNOWN
    assert claim_of(("COMPLETED", "COMPLETING")) is Claim.RUNNING
    assert claim_of(("PENDING", "LAUNCH_FAILED")) is Claim.WAITING
    assert claim_of(("LAUNCH_FAILED",)) is Claim.UNKNOWN
    assert words_of("CANCELLED by 1000") == ("CANCELLED",)
    assert words_of("running,completing") == words_of(["RUNNING", "COMPLETING"]) == ("RUNNING", "COMPLETING")
    assert words_of(None) == ()


def test_accounts() -> None:
    lines = "12|NODE_FAIL|0:1|1700000000|1700000100|1700000900|n1\n12|CANCELLED by 0|0:15|1700000000|1700000950|Unknown|None assigned\nx|\n"
    first, second = parse_accounts(lines, "|")
    assert (first.states, first.exit_code, first.signal, first.end_time) == (("NODE_FAIL",), 0, 1, 1700000900)
    assert (second.states, second.signal, second.end_time, second.nodes) == (("CANCELLED",), 15, None, "")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("invalid partition specified: x", Cause.PARTITION),
        ("Invalid account or account/partition combination specified", Cause.ACCOUNT),
        ("Invalid qos specification", Cause.ACCOUNT),
        ("Access/permission denied", Cause.ACCOUNT),
        ("User's group not permitted to use this partition", Cause.ACCOUNT),
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", Cause.LIMITS),
        ("Requested node configuration is not available", Cause.LIMITS),
        ("More processors requested than permitted", Cause.LIMITS),
        ("Invalid --time specification", Cause.LIMITS),
        ("This does not look like a batch script", Cause.SCRIPT),
        ("I/O error writing script/environment to file", Cause.OTHER),
    ],
)
def test_why_a_job_was_refused(text: str, cause: Cause) -> None:
    assert cause_of(f"sbatch: error: Batch job submission failed: {text}") is cause


def test_errors_quote_slurm_and_steer_no_terminal() -> None:
    assert quoted("squeue: error: a \x1b[31mred\x1b[0m\n\nsqueue: fatal: b\nc\nd") == "a [31mred[0m; b; c"
    assert quoted(" \n") == "no output"
    assert isinstance(failed("scontrol", 1, "slurm_load_jobs error: Invalid job id specified"), NoSuchJobError)
