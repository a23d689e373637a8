"""Commands of Slurm that hang, leave processes, print too much or nothing of use; scripts stand in for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from atftctl.host.slurm import command
from atftctl.host.slurm.command import Deadline, environment, run
from atftctl.host.slurm.errors import (
    BadOutputError,
    SlurmLateError,
    SlurmMissingError,
    SlurmUnreachableError,
    SubmitRejectedError,
    SubmitUnknownError,
)
from atftctl.host.slurm.facts import Job
from atftctl.host.slurm.listing import jobs, show
from atftctl.host.slurm.submit import submit

Put = Callable[[str, str], None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put a script in the place of a command of Slurm."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def write(name: str, text: str) -> None:
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    return write


def gone(file: Path) -> bool:
    """Does the process whose pid is in the file end, within a moment?"""
    place, deadline = Path(f"/proc/{int(file.read_text())}/stat"), time.monotonic() + 10
    with suppress(FileNotFoundError, ProcessLookupError):
        while place.read_text().rpartition(")")[2].split()[0] != "Z":
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
    return True


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path, put: Put) -> None:
    put("squeue", "trap '' TERM INT\nsleep 60 & echo $! >child\necho '{\"jobs\": []}'\nwait\nsleep 60")
    begun = time.monotonic()
    with pytest.raises(SlurmLateError, match=r"squeue did not end within 0\.4 s"):
        jobs(tmp_path, limit_s=0.4)
    assert time.monotonic() - begun < 10
    assert gone(tmp_path / "child")


def test_a_process_that_is_left_and_holds_the_output_does_not_hold_us(tmp_path: Path, put: Put) -> None:
    put("squeue", "sleep 60 & echo $! >child\necho '{\"jobs\": []}'")
    assert jobs(tmp_path) == ()
    assert gone(tmp_path / "child")


def test_an_answer_that_is_lost_is_no_refusal(tmp_path: Path, put: Put) -> None:
    for text in (
        "sleep 60",
        "kill -9 $$",
        "echo welcome",
        "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1",
        "echo 'sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying' >&2; exit 1",
        "echo 'sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received' >&2; exit 1",
    ):
        put("sbatch", text)
        with pytest.raises(SubmitUnknownError):
            submit(tmp_path, b"#!/bin/sh\n", limit_s=0.3)
    put("sbatch", "echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1")
    with pytest.raises(SlurmUnreachableError):
        submit(tmp_path, b"#!/bin/sh\n")
    put("sbatch", "echo 'sbatch: error: Batch job submission failed: Unspecified' >&2; exit 1")
    with pytest.raises(
        SubmitRejectedError, match=r"sbatch failed \(exit 1\): Batch job submission failed: Unspecified"
    ):
        submit(tmp_path, b"#!/bin/sh\n")


def test_what_sbatch_is_given(tmp_path: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SBATCH_ACCOUNT", "SLURM_CLUSTERS", "PMI_RANK", "SECRET", "SLURM_JWT", "SLURM_CONF"):
        monkeypatch.setenv(name, "x")
    put("sbatch", 'cat >script; env >env; printf "%s\\n" "$@" >arguments\necho "a module was loaded"; echo "12;other"')
    text = b"#!/bin/sh\n# " + b"x" * 300_000
    assert submit(tmp_path, text, options=["--hold"]) == Job(12, "other")
    assert (tmp_path / "script").read_bytes() == text
    assert (tmp_path / "arguments").read_text().splitlines() == ["--parsable", f"--chdir={tmp_path}", "--hold"]
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert {"SLURM_JWT", "SLURM_CONF", "PATH", "LC_ALL"} <= names
    assert not names & {"SLURM_JOB_ID", "SBATCH_ACCOUNT", "SLURM_CLUSTERS", "PMI_RANK", "SECRET"}
    assert environment(None)["SECRET"] == "x"


def test_a_job_of_another_cluster_is_asked_for_there(tmp_path: Path, put: Put) -> None:
    put("squeue", 'printf "%s\\n" "$@" >>arguments')
    assert show(tmp_path, Job(12, "other")) is None
    assert "--clusters=other" in (tmp_path / "arguments").read_text().splitlines()


def test_no_slurm_at_all(tmp_path: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for call in (lambda: jobs(tmp_path), lambda: show(tmp_path, Job(1)), lambda: submit(tmp_path, b"#!/bin/sh\n")):
        with pytest.raises(SlurmMissingError, match="is not installed here"):
            call()
    put("squeue", "")
    (tmp_path / "bin" / "squeue").chmod(0o644)
    os.rename(tmp_path / "bin" / "squeue", tmp_path / "bin" / "sinfo")
    (tmp_path / "bin" / "squeue").mkdir()
    with pytest.raises(SlurmMissingError):
        jobs(tmp_path)


def test_too_much_output(tmp_path: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MOST_BYTES", 100_000)
    put("squeue", "exec cat /dev/zero")
    with pytest.raises(BadOutputError, match="squeue printed more than"):
        jobs(tmp_path)


def test_a_command_that_reads_nothing_of_its_input(tmp_path: Path, put: Put) -> None:
    put("sbatch", "exec <&-; echo 1")
    assert submit(tmp_path, b"#!/bin/sh\n" + b"x" * 1_000_000) == Job(1)
    done = run(tmp_path, ["sh", "-c", "echo out; echo err >&2; exit 3"], Deadline(5))
    assert (done.code, done.output, done.error, done.text) == (3, "out\n", "err\n", "err\n\nout\n")
