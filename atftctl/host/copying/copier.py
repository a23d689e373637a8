"""Copies that can be trusted: hashed while they are copied, holes kept, durable, read back where that costs little.

Large files are copied by the kernel (copy_file_range, as `cp` does) while what has been written is read and hashed
beside it: what is hashed is the copy, and no byte of it has gone through this program. Where the kernel can't, the
bytes are read, hashed in a second thread and written. Memory does not grow with the file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.host.copying.kernel_copy import CHUNK, KernelCopy, sync_range
from atftctl.host.errors import AbandonedError, ChangedError, DamagedError
from atftctl.host.files.durable import CREATE_AND_READ, READ_BACK, write_all
from atftctl.host.files.fingerprint import Identity, allocated, identity
from atftctl.host.files.folders import chown_like_parent, opened
from atftctl.host.files.reading import open_regular

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

LARGE = 8 << 20  # bytes; smaller ones are not worth a thread
WRITEBACK = 32 << 20  # the disk is kept busy while the rest is copied, instead of all at the fsync
SYNC_RANGE = 7  # fs.h: SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER
FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)

Feed = Callable[[int, bytes], None]  # told (offset, bytes) of everything that is copied, in order
Watch = Callable[[int], Feed]  # makes a feed for an open source
Progress = Callable[[int], None]  # told how many bytes more are done


@dataclass(frozen=True)
class Copied:
    """What was copied, and the source as it stood before and after."""

    sha256: str
    size: int
    source: Identity


_this_thread = threading.local()


@contextmanager
def given_up_with(stop: threading.Event) -> Iterator[None]:
    """Copies of this thread end with AbandonedError once this is set."""
    _this_thread.stop = stop
    try:
        yield
    finally:
        _this_thread.stop = None


def no_progress(done: int) -> None:
    del done


def copy_new(
    source: Path,
    target: Path,
    mode: int,
    *,
    watch: Watch | None = None,
    progress: Progress = no_progress,
    keep_time: bool = False,
    durable: bool = True,
) -> Copied:
    """A new file `target` with the bytes of `source`, fsynced. The folder is the caller's to fsync. Not `durable`: the
    file too is the caller's to sync, and to `read_back` then.

    Shares blocks with the source where the file system can (FICLONE). Raises ChangedError where the source changed
    meanwhile, NotRegularError for what is no regular file, DamagedError where a small copy reads back otherwise; a
    half-written target stays, its owner knows its name and cleans up.
    """
    with _reading(source, settle=True) as (reading, before), opened(target.parent) as folder:
        writing = os.open(target.name, CREATE_AND_READ, 0o600, dir_fd=folder)
        try:
            digest = _fill(writing, reading, before, watch, progress)
            if keep_time:
                os.utime(writing, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.fchmod(writing, stat.S_IMODE(mode))
            chown_like_parent(writing, folder)
            if durable:
                os.fsync(writing)
        finally:
            os.close(writing)
    if identity(os.lstat(source)) != identity(before):
        raise ChangedError(f"{source} changed while it was copied")
    if durable and before.st_size <= READ_BACK:
        read_back(target, digest)
    return Copied(digest, before.st_size, identity(before))


def hash_file(path: Path, *, watch: Watch | None = None, progress: Progress = no_progress) -> str:
    """SHA-256 of what stands on disk now; never follows a symlink. Raises OSError."""
    with _reading(path) as (handle, facts):
        return _stream(_pieces(handle, facts), watch(handle) if watch else None, None, progress)


@contextmanager
def _reading(path: Path, *, settle: bool = False) -> Iterator[tuple[int, os.stat_result]]:
    """A regular file, open for reading, and its facts; a pipe does not make it wait, a symlink is not followed.
    `settle`: so that any later change shows in its times."""
    with open_regular(path) as file:
        handle = file.fileno()
        if settle:
            _write_out(handle)
        yield handle, os.fstat(handle)


def _write_out(handle: int) -> None:
    """A store through a memory map into a page that waits to be written changes no time. Once it is written the next
    store does. Waits for no disk that has nothing to write, and for no journal."""
    sync_range(handle, 0, 0, SYNC_RANGE)


def _fill(writing: int, reading: int, facts: os.stat_result, watch: Watch | None, progress: Progress) -> str:
    if _cloned(writing, reading):
        return _stream(_pieces(reading, facts), watch(reading) if watch else None, None, progress)
    if facts.st_size >= LARGE and allocated(facts) == facts.st_size:
        with KernelCopy(reading, writing, facts.st_size) as copy:
            if copy.possible():
                digest = _stream(copy.written(), watch(reading) if watch else None, None, progress)
                if os.fstat(writing).st_size == facts.st_size:
                    return digest
        os.ftruncate(writing, 0)  # some file systems end such a copy early: by hand, then
    digest = _stream(_pieces(reading, facts), watch(reading) if watch else None, writing, progress)
    if os.fstat(writing).st_size < facts.st_size:  # it ends with a hole
        os.ftruncate(writing, facts.st_size)
    return digest


def _cloned(writing: int, reading: int) -> bool:
    try:
        fcntl.ioctl(writing, FICLONE, reading)
    except OSError:
        return False
    return True


def _stream(
    pieces: Iterator[tuple[int, bytes, bool]], feed: Feed | None, writing: int | None, progress: Progress
) -> str:
    """Hash, and write unless `writing` is None; a hole is hashed and skipped. The SHA-256."""
    flushed = 0
    with _Hashing() as digest:
        for offset, piece, hole in pieces:
            digest.update(piece)
            if writing is not None and hole:
                os.lseek(writing, offset + len(piece), os.SEEK_SET)
            elif writing is not None:
                write_all(writing, piece)
                if offset - flushed >= WRITEBACK:
                    flushed = _start_writeback(writing, flushed, offset)
            if feed:
                feed(offset, piece)
            progress(len(piece))
            if (stop := getattr(_this_thread, "stop", None)) and stop.is_set():
                raise AbandonedError("the copy was given up")
        return digest.hexdigest()


def _start_writeback(handle: int, begin: int, end: int) -> int:
    """Linux begins to write dirty pages that it is told will not be needed; they stay in the cache until it has."""
    with suppress(OSError):
        os.posix_fadvise(handle, begin, end - begin, os.POSIX_FADV_DONTNEED)
    return end


class _Hashing:
    """SHA-256; what comes in whole chunks is hashed in a thread, one chunk at a time."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pool: Executor | None = None
        self._pending: Future[None] | None = None

    def __enter__(self) -> _Hashing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def update(self, piece: bytes) -> None:
        self._wait()
        if self._pool is None and len(piece) == CHUNK:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1)
        if self._pool:
            self._pending = self._pool.submit(self._digest.update, piece)
        else:
            self._digest.update(piece)

    def hexdigest(self) -> str:
        self._wait()
        return self._digest.hexdigest()

    def _wait(self) -> None:
        if self._pending:
            self._pending.result()


def _pieces(handle: int, facts: os.stat_result) -> Iterator[tuple[int, bytes, bool]]:
    """(offset, bytes, is a hole) from begin to end, CHUNK bytes at most; short where the file was cut meanwhile."""
    if allocated(facts) == facts.st_size:
        offset = 0
        while piece := os.read(handle, min(CHUNK, max(facts.st_size - offset, 0) + 1)):  # 1 more: it may have grown
            yield offset, piece, False
            offset += len(piece)
        return
    zeros, offset = bytes(CHUNK), 0
    while offset < facts.st_size:
        data = _next(handle, offset, os.SEEK_DATA, facts.st_size)
        while offset < data:
            length = min(CHUNK, data - offset)
            yield offset, zeros[:length] if length < CHUNK else zeros, True
            offset += length
        end = _next(handle, offset, os.SEEK_HOLE, facts.st_size) if offset < facts.st_size else offset
        os.lseek(handle, offset, os.SEEK_SET)
        while offset < end:
            piece = os.read(handle, min(CHUNK, end - offset))
            if not piece:
                return
            yield offset, piece, False
            offset += len(piece)


def _next(handle: int, offset: int, what: int, size: int) -> int:
    try:
        return min(os.lseek(handle, offset, what), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole until the end
            return size
        raise


def read_back(path: Path, digest: str) -> None:
    """From the disk where the kernel lets go of its own copy. Raises DamagedError."""
    with _reading(path) as (handle, facts):
        with suppress(OSError):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        found = _stream(_pieces(handle, facts), None, None, no_progress)
    if found != digest:
        raise DamagedError(f"{path} does not read back as it was written")
