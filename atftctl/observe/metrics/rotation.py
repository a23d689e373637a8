"""A file of the run folder together with its rotated predecessors."""

from __future__ import annotations

import stat
from pathlib import Path

from atftctl.host.files.logs import real_path
from atftctl.observe.log_files.parts import PACKED, rotated_names

COMPRESSED = (*PACKED, ".zst")


def parts(root: Path, name: str) -> list[Path]:
    """The file `name` and those that a rotation renamed, under the same names as those of logs, the oldest first, by
    the time of their last line. Other kinds of file than regular ones are listed only under the name itself."""
    path = real_path(root, name)
    try:
        rotated = rotated_names(path.name, COMPRESSED)
        others = [other for other in path.parent.iterdir() if other != path and rotated.fullmatch(other.name)]
    except OSError:
        others = []
    dated = sorted((modified, other.name) for other in others if (modified := _modified(other)) is not None)
    return [*(path.with_name(other) for _, other in dated), *([path] if _exists(path) else [])]


def is_compressed(path: Path) -> bool:
    """Did the rotation compress it?"""
    return path.suffix in COMPRESSED


def _modified(path: Path) -> int | None:
    """The time of the last change; None for what is not a regular file."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    return facts.st_mtime_ns if stat.S_ISREG(facts.st_mode) else None


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True
