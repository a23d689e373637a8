"""Logs as files: of any size, rotated, packed, sparse, damaged, rewritten under the reader."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import resource
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from atftctl import protocol
from atftctl.domain.log_lines.rules import Logs
from atftctl.domain.log_lines.text import decode, lines
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.since import Since
from atftctl.observe.log_files.blocks import BLOCK, LONGEST_BYTES, PartError, blocks
from atftctl.observe.log_files.errors import Survey, errors_since, spans_of
from atftctl.observe.log_files.follow import Follower
from atftctl.observe.log_files.parts import log_files
from atftctl.observe.log_files.window import bisect
from atftctl.state.layout import Layout

BEGIN = datetime(2026, 11, 30, 8).astimezone().timestamp()
TEN_GB = 10 << 30


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(BEGIN + seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def line(seconds: float, text: str = "INFO step, loss 0.31") -> str:
    return f"{stamp(seconds)} {text}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def put(folder: Path, name: str, data: str | bytes, written: float | None = None) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    if written is not None:
        os.utime(path, (BEGIN + written, BEGIN + written))
    return path


def survey(folder: Path, since: Since, run: ProcessRecord | None = None, limit: int | None = None) -> Survey:
    layout = Layout(folder, folder / "runbooks" / "none.yaml")
    return errors_since(layout, Logs(), run, since, limit=limit)


def texts(folder: Path, name: str = protocol.LOG) -> list[bytes]:
    [part] = log_files(folder, name).parts
    return [row for block in blocks(part) for row in block.data.splitlines()]


def test_rotated_files_come_first_whatever_they_are_called(folder: Path) -> None:
    names = ["training.log-20261128", "training.log.3.gz", "training.log.2.xz", "training.log.1", "training.log"]
    packers = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
    for number, name in enumerate(names):
        data = line(number, f"ERROR in {name}").encode()
        put(folder, f"logs/{name}", packers.get(Path(name).suffix, bytes)(data), number)
    for name in ("training.log.txt", "training.log.bak", "training.logs", "other.log.1", "training.log.tmp1"):
        put(folder, f"logs/{name}", line(0, "ERROR not of this log"))
    (folder / "logs/training.log.9").mkdir()
    os.mkfifo(folder / "logs/training.log.8")
    (folder / "logs/training.log.7").symlink_to("/etc/passwd")
    found = survey(folder, Since("all"))
    assert [part.name for part in log_files(folder, protocol.LOG).parts] == names
    assert found.tally.count == 5 and list(found.tally.latest) == [f"ERROR in {name}" for name in names]


def test_a_traceback_over_a_rotation_is_one_error(folder: Path) -> None:
    put(folder, "logs/training.log.1", line(0, "ERROR crashed") + "Traceback (most recent call last):\n", 0)
    put(folder, "logs/training.log", '  File "a.py", line 1\nValueError: x\n' + line(1), 1)
    found = survey(folder, Since("all"))
    assert found.tally.count == 1 and found.tally.first is not None and found.tally.first.message == "ValueError: x"


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_a_damaged_packed_file_is_said(folder: Path, ending: str) -> None:
    packed = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[ending](os.urandom(50_000))
    damaged = packed[:20_000] + b"garbage" + packed[20_007:30_000]
    put(folder, f"logs/training.log.1{ending}", damaged, 0)
    put(folder, "logs/training.log", line(1, "ERROR here"))
    found = survey(folder, Since("all"))
    assert found.tally.count == 1 and "could not be read to its end" in found.logs[0].problem


def test_what_could_not_be_searched_is_said(folder: Path) -> None:
    assert "does not exist" in survey(folder, Since("all")).unread[0]
    put(folder, protocol.LOG, line(0, "ERROR early") + 100 * line(1))
    put(folder, protocol.OUTPUT + ".1.gz", gzip.compress(line(0).encode()), 0)
    assert survey(folder, Since("all")).unread == [], "though the size of a packed log is a guess"
    limited = survey(folder, Since("all"), limit=1000)
    assert limited.tally.count == 0 and "newest" in limited.unread[0]
    (folder / protocol.LOG).unlink()
    os.mkfifo(folder / protocol.LOG)
    assert protocol.LOG in survey(folder, Since("all")).unread[0]


@pytest.fixture
def sparse(folder: Path) -> Iterator[Path]:
    """A log of 10 GB of which only the last lines are on the disk."""
    path = put(folder, "logs/training.log", "")
    os.truncate(path, TEN_GB)
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("this file system has no sparse files")
    with path.open("ab") as file:
        file.write(("".join(line(n) for n in range(1000)) + line(1000, "ERROR at the end") + line(1001)).encode())
    os.utime(path, (BEGIN + 1001, BEGIN + 1001))
    yield path


def test_a_sparse_file_of_10_gb(folder: Path, sparse: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    for since in (Since("all"), Since("time", BEGIN + 999), Since("start")):
        found = survey(folder, since)
        assert found.tally.count == 1, since.kind
        assert found.tally.first is not None and found.tally.first.time == BEGIN + 1000
    assert survey(folder, Since("time", BEGIN + 1001)).tally.count == 0
    assert time.process_time() - begun < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KB


def test_a_log_that_was_truncated_under_its_writer(folder: Path) -> None:
    """The writer goes on at its old offset: the file begins with NUL bytes, on the disk or as a hole."""
    put(folder, "logs/training.log", b"\0" * (3 << 20) + line(5, "ERROR after the hole").encode())
    assert list(survey(folder, Since("all")).tally.latest) == ["ERROR after the hole"]
    assert list(survey(folder, Since("time", BEGIN)).tally.latest) == ["ERROR after the hole"]


def test_one_line_of_64_mb_and_what_comes_after_it(folder: Path) -> None:
    with (folder / "logs/training.log").open("wb") as file:
        file.write(line(0, "ERROR before").encode() + b"ERROR ")
        for _ in range(64):
            file.write(b"x" * BLOCK)
        file.write(b"\n" + line(1, "ERROR after").encode())
    found = survey(folder, Since("all"))
    assert found.tally.count == 3 and found.logs[0].cut >= 1
    assert max(map(len, texts(folder))) <= LONGEST_BYTES


def test_progress_bars_make_many_short_lines(folder: Path) -> None:
    bar = "".join(f"\r{n / 10000:.0%}|###  | {n}/10000" for n in range(100_000))
    put(folder, "logs/trainer.out", bar + "\n" + line(0, "ERROR after the bar"))
    found = survey(folder, Since("all"))
    assert found.tally.count == 1 and not found.logs[1].cut


def test_the_last_text_of_a_progress_bar_is_a_line(folder: Path) -> None:
    put(folder, protocol.LOG, "1%\r2%\r3%\r")
    [part] = log_files(folder, protocol.LOG).parts
    rows = [row for block in blocks(part) for row in lines(decode(block.data))]
    assert [(row.text, row.overwritten) for row in rows] == [("1%", True), ("2%", True), ("3%", False)]


def test_bisection_finds_the_first_line_of_a_time(folder: Path) -> None:
    rows = [line(n, "INFO " + "y" * (n % 300)) + ("no time\n" * (n % 5)) for n in range(2000)]
    put(folder, "logs/training.log", "".join(rows))
    [part] = log_files(folder, protocol.LOG).parts
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    for number in (0, 1, 2, 500, 999, 1500, 1999):
        assert bisect(part, BEGIN + number) == offsets[number]
    assert bisect(part, BEGIN - 1) == 0
    assert bisect(part, BEGIN + 5000) == part.size


def test_bisection_in_a_log_without_times(folder: Path) -> None:
    put(folder, "logs/trainer.out", "ValueError: x\n" * 1000)
    [part] = log_files(folder, protocol.OUTPUT).parts
    assert bisect(part, BEGIN) is None
    found = survey(folder, Since("time", BEGIN))
    assert found.tally.count == 1000 and found.logs[1].undated


def test_a_log_whose_clock_is_another_one_is_never_an_all_clear(folder: Path) -> None:
    """A container writes in UTC, without a zone, and is read in Tokyo: its newest lines seem to be nine hours old."""
    put(folder, "logs/training.log", line(0, "ERROR just now"), written=9 * 3600)
    found = survey(folder, Since("time", BEGIN + 8 * 3600))
    assert found.tally.count == 1 and found.logs[0].undated
    put(folder, "logs/training.log", line(0, "ERROR nine hours ago"), written=0)
    found = survey(folder, Since("time", BEGIN + 8 * 3600))
    assert found.tally.count == 0 and not found.logs[0].undated


def test_only_the_newest_bytes_are_read_and_it_says_so(folder: Path) -> None:
    put(folder, "logs/training.log", "".join(line(n, f"ERROR {n}") for n in range(10_000)))
    found = survey(folder, Since("all"), limit=5000)
    log = found.logs[0]
    assert 4900 < log.read <= 5000 and log.size == (folder / protocol.LOG).stat().st_size
    assert found.tally.latest[-1] == "ERROR 9999" and found.tally.count < 200


def run_at(folder: Path, seconds: float) -> ProcessRecord:
    """The record of a trainer that is started now, with the logs as they are."""
    sizes = {name: (folder / name).stat() if (folder / name).exists() else None for name in Logs().files}
    log, out = sizes[protocol.LOG], sizes[protocol.OUTPUT]
    started = datetime.fromtimestamp(BEGIN + seconds).astimezone().isoformat(timespec="seconds")
    return ProcessRecord(
        "r", "running", started, "", "last", 0, log_from=log.st_size if log else 0, log_inode=log.st_ino if log else 0,
        output_from=out.st_size if out else 0, output_inode=out.st_ino if out else 0,
    )  # fmt: skip


def append(folder: Path, name: str, text: str) -> None:
    with (folder / name).open("a") as file:
        file.write(text)


@pytest.mark.parametrize("rotation", ["none", "renamed", "copied and truncated", "renamed and packed", "grown again"])
def test_the_start_of_the_trainer_is_found_over_a_rotation(folder: Path, rotation: str) -> None:
    put(folder, protocol.LOG, line(0, "ERROR of the run before"))
    put(folder, protocol.OUTPUT, "ValueError: of the run before, without a time\n")
    run = run_at(folder, 10)
    append(folder, protocol.LOG, line(11, "ERROR first"))
    append(folder, protocol.OUTPUT, "TypeError: of this run\n")
    log = folder / protocol.LOG
    if rotation.startswith("renamed"):
        log.rename(f"{log}.1")
    if rotation == "renamed and packed":
        Path(f"{log}.1.gz").write_bytes(gzip.compress(Path(f"{log}.1").read_bytes()))
        Path(f"{log}.1").unlink()
    if rotation in ("copied and truncated", "grown again"):
        Path(f"{log}.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)
    text = line(12, "ERROR second")
    append(folder, protocol.LOG, text * 1 if rotation != "grown again" else text + line(13) * 20)
    for name in ("training.log.1", "training.log.1.gz"):
        if (folder / "logs" / name).exists():
            os.utime(folder / "logs" / name, (BEGIN + 11.5, BEGIN + 11.5))
    found = survey(folder, Since("start"), run)
    assert list(found.tally.latest) == ["ERROR first", "ERROR second", "TypeError: of this run"]


def test_without_a_record_all_of_the_log_is_read(folder: Path) -> None:
    put(folder, protocol.LOG, line(0, "ERROR x"))
    assert survey(folder, Since("start")).tally.count == 1
    assert spans_of(log_files(folder, protocol.LOG), Since("start"), None)[0].start == 0


def test_what_is_no_log_is_said_and_never_waited_for(folder: Path) -> None:
    os.mkfifo(folder / protocol.LOG)
    (folder / protocol.OUTPUT).mkdir()
    found = survey(folder, Since("all"))
    assert not found.readable and all("not a regular file" in log.problem for log in found.logs)
    with pytest.raises(PartError):
        put(folder, "logs/x.log", "x")
        [part] = log_files(folder, "logs/x.log").parts
        part.path.unlink()
        list(blocks(part))
    assert log_files(folder, "../etc/passwd").problem and log_files(folder, "/etc/passwd").problem
    (folder / "logs/loop.log").symlink_to("loop.log")
    assert log_files(folder, "logs/loop.log").problem


def test_a_log_on_another_disk(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A symlink is followed where the operator could have made it, and the rotated files lie where it leads to."""
    disk = tmp_path_factory.mktemp("disk")
    put(disk, "run7.log", line(1, "ERROR here"))
    put(disk, "run7.log.1", line(0, "ERROR rotated"), 0)
    (folder / protocol.LOG).symlink_to(disk / "run7.log")
    if os.geteuid() == 0:
        os.chmod(folder, 0o755)
    found = survey(folder, Since("all"))
    assert found.tally.count == 2 or found.logs[0].problem, (
        "root follows only symlinks that nobody else could have made"
    )


def read(follower: Follower) -> list[str]:
    return [row.text for row in follower.poll()]


def test_following_over_rotation_truncation_and_replacement(folder: Path) -> None:
    path = folder / protocol.LOG
    follower = Follower(folder, protocol.LOG)
    assert read(follower) == [] and follower.notes == ["waiting for it to be created"]
    path.write_text("one\ntw")
    assert read(follower) == ["one"] and follower.notes[-1] == "it can be read now"
    append(folder, protocol.LOG, "o\n")
    assert read(follower) == ["two"]
    path.rename(f"{path}.1")
    append(folder, "logs/training.log.1", "three, late\n")
    assert read(follower) == ["three, late"], "its writer has not noticed yet"
    path.write_text("four\n")
    assert read(follower) == ["four"] and follower.notes[-1] == "the file was rotated or replaced"
    append(folder, "logs/training.log.1", "five, to the old file\n")
    assert read(follower) == ["five, to the old file"]
    os.truncate(path, 0)
    append(folder, protocol.LOG, "six\n")
    assert read(follower) == ["six"] and follower.notes[-1] == "the file was truncated"
    os.truncate(path, 0)
    append(folder, protocol.LOG, "seven, after a truncation that no size shows\n")
    assert read(follower) == ["seven, after a truncation that no size shows"]
    other = put(folder, "logs/new", "eight\n")
    other.rename(path)
    assert read(follower) == ["eight"]
    path.unlink()
    assert read(follower) == []
    os.mkfifo(path)
    assert read(follower) == [] and "not a regular file" in follower.notes[-1]
    follower.close()


def test_lines_of_two_files_are_never_joined(folder: Path) -> None:
    path = put(folder, protocol.LOG, "")
    follower = Follower(folder, protocol.LOG)
    append(folder, protocol.LOG, "half of the o")
    assert read(follower) == []
    path.rename(f"{path}.1")
    path.write_text("new\nhalf of the n")
    assert read(follower) == ["half of the o", "new"]
    append(folder, "logs/training.log.1", "ld\nmore of the old\n")
    assert read(follower) == [], "a line of the new file is not complete"
    append(folder, protocol.LOG, "ew\n")
    assert read(follower) == ["half of the new"] and read(follower) == ["ld", "more of the old"]
    follower.close()


def test_following_begins_with_a_line_that_is_not_complete(folder: Path) -> None:
    put(folder, protocol.LOG, "old\nhalf a ")
    follower = Follower(folder, protocol.LOG)
    append(folder, protocol.LOG, "line\n")
    assert read(follower) == ["half a line"]
    follower.close()


def test_following_shows_a_last_line_without_a_break_and_what_was_written_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, protocol.LOG, "")
    follower = Follower(folder, protocol.LOG)
    append(folder, protocol.LOG, "\r1%\r2%\r3%\r4%")
    assert [(row.text, row.overwritten) for row in follower.poll()] == [("1%", True), ("2%", True), ("3%", True)]
    append(folder, protocol.LOG, "\nterminate called without a break")
    assert read(follower) == ["4%"]
    assert read(follower) == []
    monkeypatch.setattr("atftctl.observe.log_files.follow.PARTIAL_S", 0.0)
    assert read(follower) == ["terminate called without a break"]
    follower.close()


def test_following_never_cuts_a_character(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atftctl.observe.log_files.follow.PARTIAL_S", -1.0)
    for text in ("日本語", "é", "😀", "plain"):
        raw = text.encode()
        for cut in range(1, len(raw)):
            put(folder, protocol.LOG, "")
            follower = Follower(folder, protocol.LOG)
            seen = []
            for piece in (raw[:cut], raw[cut:] + b"\n"):
                with (folder / protocol.LOG).open("ab") as file:
                    file.write(piece)
                seen += [*read(follower), *read(follower)]
            assert "".join(seen) == text
            follower.close()


def test_following_a_backlog_is_done_in_pieces(folder: Path) -> None:
    put(folder, protocol.LOG, "")
    follower = Follower(folder, protocol.LOG)
    append(folder, protocol.LOG, "".join(line(n) for n in range(60_000)) + "z" * (5 << 20) + "\nend\n")
    pieces = [follower.poll() for _ in range(12)]
    assert len(pieces[0]) < 40_000 and sum(map(len, pieces)) == 60_002
    assert [row.text for piece in pieces for row in piece][-1] == "end"
    follower.close()
