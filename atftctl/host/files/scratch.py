"""A scratch folder for one process. A process that is killed leaves its folder behind: the next one that makes a
scratch folder removes it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "atftctl-scratch-"
SETTLED_S = 60.0  # a folder that is younger may have been made a moment ago, and not be locked yet


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for the block. It is locked as long as the block lasts: a lock ends with its process, and is seen
    from other containers that share the folder for temporary files, where process ids say nothing. Raises OSError."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        handle = _open(name)
        try:
            with suppress(OSError):  # a disk that knows no locks: then nothing is removed there either
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name).resolve()
        finally:
            os.close(handle)


def _remove_abandoned(root: Path) -> None:
    with suppress(OSError):
        for entry in os.scandir(root):
            if entry.name.startswith(PREFIX):
                with suppress(OSError):
                    _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    """Raises OSError: BlockingIOError where its process is alive."""
    handle = _open(path)
    try:
        facts = os.fstat(handle)
        if facts.st_uid == os.geteuid() and time.time() - facts.st_mtime > SETTLED_S:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
