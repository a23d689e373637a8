"""One operator at a time: an flock that no crash outlives, with the holder's words inside."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from atftctl.host.errors import LockHeldError
from atftctl.host.files.durable import open_own
from atftctl.host.files.folders import opened
from atftctl.host.files.reading import open_regular

LOOK_S = 0.5


@contextmanager
def exclusive(path: Path, *, command: str, reason: str) -> Iterator[None]:
    """Hold the lock for the block; LockHeldError names who, where, since when and why.

    The file stays when the lock is let go: removing it would let two holders lock two inodes of one name.
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


def _take(handle: int) -> None:
    """A holder without words may be somebody who only looks (`holder` below), or is about to write: tried again."""
    deadline = time.monotonic() + LOOK_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            words = _read(handle)
        if words or time.monotonic() >= deadline:
            raise LockHeldError(words)
        time.sleep(0.005)


def holder(path: Path) -> dict[str, str] | None:
    """Who holds the lock now, or None; takes nothing and writes nothing."""
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
    """user@host of whoever runs this; a bare uid where the user has no name (containers)."""
    import getpass
    import socket

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def describe_self(command: str, reason: str) -> dict[str, str]:
    return {
        "operator": operator(),
        "pid": str(os.getpid()),
        "command": command,
        "reason": reason,
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _read(handle: int) -> dict[str, str]:
    """The holder may be writing at this instant; then nothing is known of it but that it is there."""
    try:
        words = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in words.items()} if isinstance(words, dict) else {}


def _write(handle: int, words: dict[str, str]) -> None:
    """Best effort: on a full disk the lock itself still holds."""
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(words).encode(), 0)
    except OSError:
        return
