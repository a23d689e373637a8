"""The reporter in a fork, beside other ranks, in another folder, on a full disk, and with a pipe in its way."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atftctl.hooks.reporter import LineFile, Reporter, is_main_process, run_folder
from atftctl.protocol.run_files import RunFiles
from tests.support.small_disk import fill, small_disk


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reporter takes over signals, and reads variables that the tests themselves may run under."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "ATFTCTL_RUN_ID", "ATFTCTL_GENERATION_ROOT"):
        monkeypatch.delenv(name, raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def events(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "logs/events.jsonl").read_text().splitlines()]


def steps(root: Path) -> list[str]:
    return [row["step"] for row in csv.DictReader((root / "logs/metrics.csv").open())]


def in_a_fork(work: Any) -> int:
    """Run this in a fork; return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            work()
            code = 0
        except SystemExit as error:
            code = int(error.code or 0)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_fork_reports_nothing_in_the_name_of_the_run(tmp_path: Path) -> None:
    with Reporter(tmp_path) as reporter:
        reporter.started()
        reporter.step(1, loss=1.0)

        def worker() -> None:
            with reporter:
                reporter.step(2, loss=9.0)
                assert not reporter.save("models/last.pt", lambda path: Path(path).write_text("worker"))
                raise SystemExit(3)

        assert in_a_fork(worker) == 3
        reporter.step(2, loss=1.0)
    assert [(event["event"], event["pid"]) for event in events(tmp_path)] == [
        (name, os.getpid()) for name in ("started", "first_step", "stopped")
    ]
    assert steps(tmp_path) == ["1", "2"] and not (tmp_path / "models/last.pt").exists()


def test_a_fork_in_which_the_training_is_started_reports_it(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path)

    def main() -> None:
        reporter.started()
        reporter.step(1, loss=1.0)
        reporter.finish()

    assert in_a_fork(main) == 0
    assert [event["event"] for event in events(tmp_path)] == ["started", "first_step", "stopped"]


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"])
def test_of_the_ranks_of_mpi_one_reports(name: str) -> None:
    assert [is_main_process({name: str(rank)}) for rank in range(8)] == [True] + 7 * [False]


def test_a_program_that_goes_into_its_own_output_folder_reports_to_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Hydra does with `hydra.job.chdir`."""
    output = tmp_path / "outputs/2026-12-01"
    output.mkdir(parents=True)
    monkeypatch.setenv("ATFTCTL_GENERATION_ROOT", str(tmp_path))
    monkeypatch.chdir(output)
    assert Reporter().root == tmp_path and Reporter(".").root == output
    (tmp_path / "outputs/.atftctl").mkdir()
    assert run_folder({"ATFTCTL_GENERATION_ROOT": str(tmp_path)}) == output, "another project inside"
    assert run_folder({"ATFTCTL_GENERATION_ROOT": str(tmp_path / "gone")}) == output
    assert run_folder({}) == output


def test_a_pipe_in_the_place_of_a_file_holds_nothing_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("events.jsonl", "metrics.csv", "heartbeat.json", "request.json"):
        os.mkfifo(tmp_path / "logs" / name)
    signal.alarm(30)  # a bound on hangs
    with Reporter(tmp_path, every_s=0) as reporter:
        reporter.started()
        for step in range(1, 2000):
            reporter.step(step, loss=1.0, note="x" * 100)
    signal.alarm(0)
    assert "logs/metrics.csv can't be written (it is a pipe" in capsys.readouterr().err


def test_what_a_full_disk_has_no_room_for_is_written_when_there_is(tmp_path: Path) -> None:
    """Rows are lost; the header that makes others readable, and the events of the start, are not."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        (disk / "logs").mkdir()
        fill(disk)
        reporter = Reporter(disk, every_s=0)
        reporter.started()
        reporter.step(1, loss=1.0)
        reporter.step(2, loss=1.0)
        for path in disk.glob("fill*"):
            path.unlink()
        reporter.step(3, loss=1.0)
        assert [event["event"] for event in events(disk)] == ["started", "first_step"]
        assert steps(disk) == ["3"]


def test_a_header_that_was_cut_is_written_again_and_what_others_wrote_stays(tmp_path: Path) -> None:
    """A limit of the size of files cuts a write as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    reporter = Reporter(tmp_path, every_s=0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    reporter.step(1, loss=1.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "logs/metrics.csv").read_bytes() == b""
    reporter.step(2, loss=1.0)
    assert steps(tmp_path) == ["2"]
    lines = LineFile(tmp_path / "other")
    lines.append(b"half")
    with (tmp_path / "other").open("ab") as other:
        other.write(b"a line of another program\n")
    lines.clear()
    assert (tmp_path / "other").read_bytes() == b"halfa line of another program\n"


def test_guard_too_writes_what_a_full_disk_had_no_room_for(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        logs = disk / "logs"
        logs.mkdir()
        fill(disk)
        files = RunFiles(logs / "events.jsonl", logs / "metrics.csv", logs / "heartbeat.json")
        files.event("started")
        files.begin_metrics(("step", "loss"))
        files.rows([{"step": 1, "loss": 0.5}])
        assert files.lost
        for path in disk.glob("fill*"):
            path.unlink()
        files.write_late()
        files.rows([{"step": 2, "loss": 0.5}])
        assert [event["event"] for event in events(disk)] == ["started"] and steps(disk) == ["2"]
