"""The lock that lets one operator at a time change a project: an flock, which ends with its process. The file holds
what the holder wrote about itself."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from atftctl.host.errors import LockHeldError
from atftctl.host.files.durable import open_own
from atftctl.host.files.folders import opened
from atftctl.host.files.reading import open_regular

LOOK_S = 0.5  # seconds for which a lock that names no holder is tried again


@contextmanager
def exclusive(path: Path, *, command: str, reason: str) -> Iterator[None]:
    """Hold the lock during the block. Raises LockHeldError, which names the holder.

    The file stays when the lock is released: if it were removed, two processes could lock two inodes of one name.
    """
    with opened(path.parent) as folder:
        handle, _ = open_own(path.name, os.O_RDWR, folder)
    try:
        _take(handle)
        _write(handle, describe_self(command, reason))
        try:
            yield
        finally:
            _write(handle, {})
    finally:
        os.close(handle)


@contextmanager
def waiting(path: Path, wait_s: float) -> Iterator[Callable[[], None]]:
    """Hold a lock that says nothing of its holder during the block, or until the function that is yielded is called. It
    is waited for up to `wait_s` seconds. Raises LockHeldError, OSError."""
    with opened(path.parent) as folder:
        handle, _ = open_own(path.name, os.O_RDWR, folder)
    try:
        deadline, pause = time.monotonic() + wait_s, 0.005
        while not _is_free(handle):
            if time.monotonic() >= deadline:
                raise LockHeldError({})
            time.sleep(pause)
            pause = min(pause * 2, LOOK_S)
        yield lambda: fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _is_free(handle: int) -> bool:
    """Take the lock, if nobody holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path) -> dict[str, str] | None:
    """What the holder of the lock wrote about itself; None where nobody holds it. Neither takes the lock nor writes."""
    try:
        with open_regular(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(file.fileno())
    except (FileNotFoundError, NotADirectoryError):
        pass
    return None


def operator() -> str:
    """user@host of the user who runs this process; the uid where the user has no name (in containers)."""
    import getpass
    import socket

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def describe_self(command: str, reason: str) -> dict[str, str]:
    """What the holder of the lock writes into its file."""
    return {
        "operator": operator(),
        "pid": str(os.getpid()),
        "command": command,
        "reason": reason,
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _take(handle: int) -> None:
    """Take the lock. A lock whose file names no holder is tried again: its holder may be about to write, or may be
    `holder`, which only looks."""
    deadline = time.monotonic() + LOOK_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            described = _read(handle)
        if described or time.monotonic() >= deadline:
            raise LockHeldError(described)
        time.sleep(0.005)


def _read(handle: int) -> dict[str, str]:
    """What the file says of the holder; empty where it says nothing, or where the holder is just writing it."""
    try:
        described = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in described.items()} if isinstance(described, dict) else {}


def _write(handle: int, described: dict[str, str]) -> None:
    """Write what the holder says of itself. An error is ignored: on a full disk the lock is held all the same."""
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(described).encode(), 0)
    except OSError:
        return
