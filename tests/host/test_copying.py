"""Copies: hashed, holes kept, never of a moving or irregular file, damage found. On real files."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import random
import time
import zipfile
from pathlib import Path

import pytest

from atftctl.host.copying import copier
from atftctl.host.copying.copier import LARGE, copy_new, hash_file
from atftctl.host.copying.kernel_copy import CHUNK, RANGE
from atftctl.host.copying.parallel import run_jobs
from atftctl.host.copying.zip_crc import ZipWatch
from atftctl.host.errors import ChangedError, DamagedError, NotRegularError


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_a_copy_has_the_bytes_and_their_hash(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(random.Random(size).randbytes(size))
    os.utime(source, ns=(1, 1_600_000_000_123_456_789))
    done = copy_new(source, target, 0o440, keep_time=True)
    assert target.read_bytes() == source.read_bytes()
    assert done.sha256 == hashlib.sha256(source.read_bytes()).hexdigest() == hash_file(target)
    facts = target.stat()
    assert (facts.st_mode & 0o777, facts.st_mtime_ns) == (0o440, 1_600_000_000_123_456_789)
    assert facts.st_ino != source.stat().st_ino


@pytest.mark.parametrize("size", [LARGE, LARGE + 1, 2 * RANGE + 12_345])
def test_a_large_file_is_copied_by_the_kernel_and_its_copy_is_hashed(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(random.Random(size).randbytes(size))
    told: list[tuple[int, int]] = []
    done = copy_new(source, target, 0o600, watch=lambda _: lambda offset, piece: told.append((offset, len(piece))))
    assert done.sha256 == hashlib.sha256(source.read_bytes()).hexdigest() == hash_file(target)
    assert told[0][0] == 0 and sum(length for _, length in told) == size
    assert all(one[0] + one[1] == other[0] for one, other in itertools.pairwise(told)), told


@pytest.mark.parametrize("error", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_the_kernel_cannot_copy_it_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(*_: int) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    source = tmp_path / "a"
    source.write_bytes(random.Random(1).randbytes(LARGE + 5))
    assert copy_new(source, tmp_path / "b", 0o600).sha256 == hash_file(source) == hash_file(tmp_path / "b")


@pytest.mark.parametrize("after", [0, 1])
def test_an_error_in_the_middle_of_the_kernels_copy_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    real, calls = os.copy_file_range, itertools.count()

    def fail(*words: int) -> int:
        if next(calls) == after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*words)

    monkeypatch.setattr(os, "copy_file_range", fail)
    source = tmp_path / "a"
    source.write_bytes(bytes(3 * RANGE))
    with pytest.raises(OSError, match="No space"):
        copy_new(source, tmp_path / "b", 0o600)


def test_a_copy_that_the_kernel_ends_early_is_finished_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems return 0 in the middle."""
    real, calls = os.copy_file_range, itertools.count()
    monkeypatch.setattr(os, "copy_file_range", lambda *words: real(*words) if next(calls) < 2 else 0)
    source = tmp_path / "a"
    source.write_bytes(random.Random(1).randbytes(5 * RANGE))
    assert copy_new(source, tmp_path / "b", 0o600).sha256 == hash_file(source) == hash_file(tmp_path / "b")


def test_large_copies_end_together_when_one_fails(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(bytes(64 << 20))
    pieces: list[int] = []

    def fail() -> None:
        time.sleep(0.05)
        raise OSError(errno.ENOSPC, "full")

    def slow(done: int) -> None:
        pieces.append(done)
        time.sleep(0.05)

    jobs = [(LARGE, fail), (LARGE, lambda: copy_new(source, tmp_path / "b", 0o600, progress=slow))]
    with pytest.raises(OSError, match="full"):
        run_jobs(jobs)
    assert sum(pieces) < 32 << 20, "the other one was given up"
    assert run_jobs([(LARGE, lambda at=at: at) for at in range(5)]) == list(range(5))  # type: ignore[misc]


@pytest.mark.parametrize("change", ["cut", "grown", "written"])
def test_a_large_source_that_changes_meanwhile_is_refused(tmp_path: Path, change: str) -> None:
    source = tmp_path / "a"
    source.write_bytes(bytes(6 * RANGE))
    told = itertools.count()

    def scribble(_: int) -> None:
        if next(told):
            return
        if change == "cut":
            os.truncate(source, RANGE)
        else:
            with source.open("r+b") as file:
                file.seek(0, os.SEEK_END if change == "grown" else os.SEEK_SET)
                file.write(b"other")

    with pytest.raises(ChangedError):
        copy_new(source, tmp_path / "b", 0o600, progress=scribble)


@pytest.mark.parametrize("layout", ["data hole", "hole data", "hole", "data hole data"])
def test_holes_stay_holes(tmp_path: Path, layout: str) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        for at, word in enumerate(layout.split()):
            if word == "data":
                file.seek(at * (32 << 20))
                file.write(b"x" * 100_000)
        file.truncate(len(layout.split()) * (32 << 20))
    done = copy_new(source, target, 0o600)
    assert done.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 < 1 << 20, "the copy takes no more room than the data"


def test_a_source_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(bytes(3 * CHUNK))

    def scribble(done: int) -> None:
        with source.open("r+b") as file:
            file.write(b"other")

    with pytest.raises(ChangedError):
        copy_new(source, tmp_path / "b", 0o600, progress=scribble)


def test_a_source_that_is_replaced_meanwhile_is_refused(tmp_path: Path) -> None:
    source, newer = tmp_path / "a", tmp_path / "newer"
    source.write_bytes(b"old"), newer.write_bytes(b"new")
    with pytest.raises(ChangedError):
        copy_new(source, tmp_path / "b", 0o600, progress=lambda _: newer.replace(source) if newer.exists() else None)


def test_pipes_folders_and_symlinks_are_no_sources(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularError):
        copy_new(tmp_path / "pipe", tmp_path / "b", 0o600)
    with pytest.raises(NotRegularError):
        copy_new(tmp_path, tmp_path / "c", 0o600)
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match="symbolic"):
        copy_new(tmp_path / "link", tmp_path / "d", 0o600)


def test_a_small_copy_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that stores something else than it was given."""
    real = os.write

    def rotten(handle: int, data: bytes) -> int:
        return real(handle, bytes(data)[:-1] + b"!" if len(data) > 1 else data)

    (tmp_path / "a").write_bytes(b"weights " * 100)
    monkeypatch.setattr(copier.os, "write", rotten)
    with pytest.raises(DamagedError):
        copy_new(tmp_path / "a", tmp_path / "b", 0o600)


def checkpoint(path: Path, seed: int = 0) -> bytes:
    """A zip as torch.save writes it: stored members, many of them."""
    rng = random.Random(seed)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for at in range(12):
            archive.writestr(f"archive/data/{at}", rng.randbytes(rng.randrange(0, 3000)))
    return path.read_bytes()


def verdict(path: Path) -> str:
    watch = ZipWatch()
    hash_file(path, watch=watch.start)
    return watch.verdict


def test_a_whole_checkpoint_and_other_files(tmp_path: Path) -> None:
    checkpoint(tmp_path / "a.pth")
    assert verdict(tmp_path / "a.pth") == "whole"
    (tmp_path / "text").write_bytes(b"no zip")
    assert verdict(tmp_path / "text") == ""
    with zipfile.ZipFile(tmp_path / "other.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", b"compressed" * 100)
    assert verdict(tmp_path / "other.zip") == "", "no checkpoint: torch never compresses"


def test_a_large_checkpoint_is_checked_across_chunks(tmp_path: Path) -> None:
    path = tmp_path / "big.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for at in range(3):
            archive.writestr(f"data/{at}", random.Random(at).randbytes(CHUNK + 12345))
    assert verdict(path) == "whole"
    with path.open("r+b") as file:
        file.seek(2 * CHUNK + 99)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    assert "wrong CRC" in verdict(path)


def test_a_flipped_bit_of_any_member_is_found_by_the_crc(tmp_path: Path) -> None:
    data = checkpoint(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        spans = [(one.header_offset + 30 + len(one.filename), one.file_size) for one in archive.infolist()]
    rng = random.Random(1)
    for _ in range(500):
        start, size = rng.choice([span for span in spans if span[1]])
        at = start + rng.randrange(size)
        (tmp_path / "b.pth").write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        assert "wrong CRC" in verdict(tmp_path / "b.pth"), at
    for cut in (1, 10, 100, len(data) // 2, len(data) - 30):
        (tmp_path / "b.pth").write_bytes(data[:-cut])
        assert "the zip is not complete" in verdict(tmp_path / "b.pth"), cut
