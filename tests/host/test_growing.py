"""A file that grows is read once: over rotations, truncations, copies, and stops of its reader at any instant."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from atftctl.host.files.growing import LONGEST, GrowingFile

NAME = "logs/metrics.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def read(file: GrowingFile) -> list[str]:
    return [line.decode() for piece in file.pieces() for line in piece.data.splitlines()]


@pytest.mark.parametrize("seed", range(20))
def test_each_line_once_whatever_happens_to_the_file(folder: Path, seed: int) -> None:
    """The reader is stopped and begins again at its place; the writer keeps its handle over a rotation, or not."""
    rng, path, number, rotated = random.Random(seed), folder / NAME, 0, 0
    handle = path.open("a")
    file, lines, written = GrowingFile(folder, NAME), list[str](), list[str]()
    read(file)
    for _ in range(120):
        what = rng.choice(["write", "write", "write", "torn", "read", "read", "rotate", "reopen", "again", "copy"])
        if what == "write":
            for _ in range(rng.randrange(5)):
                number += 1
                written.append(f"line {number}")
                handle.write(f"line {number}\n")
        elif what == "torn":
            number += 1
            written.append(f"line {number} in two parts")
            handle.write(f"line {number}")
            handle.flush()
            lines += read(file)
            handle.write(" in two parts\n")
        elif what == "read":
            handle.flush()
            lines += read(file)
        elif what == "rotate" and path.exists():
            handle.flush()
            if rng.random() < 0.5 or os.fstat(handle.fileno()).st_ino != path.stat().st_ino:
                lines += read(file)
            rotated += 1
            path.rename(folder / f"{NAME}.{rotated}")
        elif what == "reopen":
            handle.close()
            time.sleep(0.01)  # the files have their order by the time of their last write
            handle = path.open("a")
        elif what == "again":
            places = file.places
            file.close()
            file = GrowingFile(folder, NAME, *places)
        elif what == "copy" and path.exists() and os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
            handle.close()
            lines += read(file)
            shutil.copy(path, folder / "copy")
            (folder / "copy").rename(path)
            handle = path.open("a")
            lines += read(file)  # replaced and then rotated without a look: no name leads to the copy any more
    handle.close()
    for _ in range(3):
        lines += read(file)
    assert sorted(lines) == sorted(written)


def test_a_line_that_is_not_complete_is_left_for_later(folder: Path) -> None:
    (folder / NAME).write_text("one\ntw")
    file = GrowingFile(folder, NAME)
    assert read(file) == ["one"] and file.rest() == b"tw"
    append(folder / NAME, "o\n")
    assert read(file) == ["two"] and read(file) == []


@pytest.mark.parametrize("stopped", [False, True])
def test_a_file_that_was_truncated_and_has_grown_past_our_place(folder: Path, stopped: bool) -> None:
    path = folder / NAME
    path.write_text("old 1\nold 2\n")
    file = GrowingFile(folder, NAME)
    assert len(read(file)) == 2
    if stopped:
        places = file.places
        file.close()
        file = GrowingFile(folder, NAME, *places)
    path.write_text("".join(f"new {number}\n" for number in range(9)))
    pieces = list(file.pieces())
    assert pieces[0].again and pieces[0].data.count(b"\n") == 9


def test_a_file_that_was_rotated_while_nobody_looked(folder: Path) -> None:
    path = folder / NAME
    path.write_text("one\n")
    file = GrowingFile(folder, NAME)
    read(file)
    append(path, "two\n")
    places = file.places
    file.close()
    path.rename(folder / f"{NAME}.1")
    path.write_text("three\n")
    assert read(GrowingFile(folder, NAME, *places)) == ["two", "three"]
    path.unlink()  # the writer has not begun a new one yet
    assert read(GrowingFile(folder, NAME, *places)) == ["two"]


def test_a_line_that_is_too_long_is_cut_and_its_rest_passed_over(folder: Path) -> None:
    path = folder / NAME
    path.write_text("x" * (3 << 20) + "\nnext\n")
    file = GrowingFile(folder, NAME)
    lines = read(file)
    assert [len(line) for line in lines] == [LONGEST, 4] and lines[1] == "next"


def test_what_can_t_be_read_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / NAME
    file = GrowingFile(folder, NAME)
    assert read(file) == [] and file.problem == "there is no such file" and file.written is None
    path.write_text("one\n")
    assert read(file) == ["one"] and not file.problem
    path.unlink()
    assert read(file) == [] and not file.problem, "a rotation may be under way"
    later = time.monotonic() + 10
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert read(file) == [] and file.problem == "there is no such file"
    os.mkfifo(path)
    assert read(file) == [] and "not a regular file" in file.problem
    path.unlink()
    path.write_text("two\n")
    assert read(file) == ["two"] and not file.problem
    assert read(GrowingFile(folder, "../outside")) == []
