"""A file of the run folder together with its rotated predecessors."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from atftctl.host.files.logs import real_path

ROTATED = re.compile(r"[.-]\d{1,14}(\.(gz|bz2|xz|zst))?")


def parts(root: Path, name: str) -> list[Path]:
    """The file `name` and those that a rotation renamed (`name.1`, `name-20261130`), the oldest first, by the time of
    their last line. Other kinds of file than regular ones are listed only under the name itself."""
    path = real_path(root, name)
    try:
        others = [other for other in path.parent.iterdir() if _is_rotated(path.name, other)]
    except OSError:
        others = []
    dated = sorted((modified, other.name) for other in others if (modified := _modified(other)) is not None)
    return [*(path.with_name(other) for _, other in dated), *([path] if _exists(path) else [])]


def is_compressed(path: Path) -> bool:
    """Did the rotation compress it?"""
    return path.suffix in (".gz", ".bz2", ".xz", ".zst")


def _is_rotated(name: str, other: Path) -> bool:
    return other.name.startswith(name) and bool(ROTATED.fullmatch(other.name[len(name) :]))


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
