"""Copy files: hashed while they are copied, with their holes, durably; small copies are read back.

Large files are copied by the kernel (copy_file_range, as in `cp`) while this process reads and hashes what the kernel
has written: the hash is that of the copy. Where the kernel can't copy, the bytes are read, hashed in a second thread
and written. The memory used does not depend on the size of the file.
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
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

LARGE = 8 << 20  # bytes; a thread does not pay for smaller files
WRITEBACK = 32 << 20  # bytes after which writing to disk is started, instead of leaving all of it to the fsync
SYNC_RANGE = 7  # fs.h: SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER
FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)

Feed = Callable[[int, bytes], None]  # called with (offset, bytes) of each piece that is copied, in order
Watch = Callable[[int], Feed]  # makes a feed for the descriptor of an open source
Progress = Callable[[int], None]  # called with the number of bytes done since the last call


@dataclass(frozen=True)
class Copied:
    """What was copied. `source`: the identity of the source file, the same before and after the copy."""

    sha256: str
    size: int
    source: Identity


_this_thread = threading.local()


@contextmanager
def given_up_with(stop: threading.Event) -> Iterator[None]:
    """During the block, copies of this thread end with AbandonedError once `stop` is set."""
    _this_thread.stop = stop
    try:
        yield
    finally:
        _this_thread.stop = None


def no_progress(done: int) -> None:
    """Ignore the progress."""
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
    """Copy `source` to the new file `target` and fsync it. The caller fsyncs the folder; without `durable` the caller
    also syncs the file and calls `read_back`. `keep_time`: the copy has the source's times.

    The copy shares blocks with the source where the file system can do that (FICLONE). Raises ChangedError where the
    source changed meanwhile, NotRegularError where it is not a regular file, DamagedError where a small copy reads back
    differently, OSError. After an error a half-written target stays; the caller removes it.
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
        raise ChangedError(tr("{path} changed while it was copied", path=source))
    if durable and before.st_size <= READ_BACK:
        read_back(target, digest)
    return Copied(digest, before.st_size, identity(before))


def hash_file(path: Path, *, watch: Watch | None = None, progress: Progress = no_progress) -> str:
    """The SHA-256 of a regular file; a symlink is not followed. Raises NotRegularError, SymlinkError, OSError."""
    with _reading(path) as (handle, facts):
        return _stream(_pieces(handle, facts), watch(handle) if watch else None, None, progress)


@contextmanager
def _reading(path: Path, *, settle: bool = False) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file for reading: its descriptor and its stat result. Does not wait for a pipe, and follows no
    symlink. `settle`: make sure that any later change shows in the file's times."""
    with open_regular(path) as file:
        handle = file.fileno()
        if settle:
            _write_out(handle)
        yield handle, os.fstat(handle)


def _write_out(handle: int) -> None:
    """Write the file's dirty pages to disk. A store through a memory map into a dirty page does not change the file's
    times; a store into a clean page does. Takes no time where nothing is dirty, and does not wait for the journal."""
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
        os.ftruncate(writing, 0)  # some file systems end such a copy early: copy the bytes ourselves
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
    """Hash the pieces, and write them unless `writing` is None; a hole is hashed and not written. Returns the
    SHA-256."""
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
                raise AbandonedError(tr("the copy was cancelled because another copy failed"))
        return digest.hexdigest()


def _start_writeback(handle: int, begin: int, end: int) -> int:
    """Start writing a range to disk: Linux does so for dirty pages that it is told will not be needed."""
    with suppress(OSError):
        os.posix_fadvise(handle, begin, end - begin, os.POSIX_FADV_DONTNEED)
    return end


class _Hashing:
    """SHA-256 of a stream of pieces. Whole chunks are hashed in a second thread, one at a time."""

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
    """(offset, bytes, is a hole) from begin to end, at most CHUNK bytes each. Ends early where the file was truncated
    meanwhile."""
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
        if error.errno == errno.ENXIO:  # the rest of the file is a hole
            return size
        raise


def read_back(path: Path, digest: str) -> None:
    """Read a file again and compare its SHA-256, from the disk where the kernel drops its cached copy. Raises
    DamagedError, OSError."""
    with _reading(path) as (handle, facts):
        with suppress(OSError):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        actual = _stream(_pieces(handle, facts), None, None, no_progress)
    if actual != digest:
        raise DamagedError(tr("{path} does not hold the bytes that were just written to it", path=path))
