"""Do two checkpoints hold the same bytes? What differs is seen at the first difference, mostly near the beginning."""

from __future__ import annotations

from pathlib import Path

from atftctl.domain.checkpoint import Checkpoint
from atftctl.host.errors import HostError
from atftctl.host.files.reading import open_regular
from atftctl.observe.checkpoints.content import content_of

BLOCK = 1 << 20  # bytes that are compared at a time


def is_copy(root: Path, checkpoint: Checkpoint, other: Checkpoint) -> bool:
    """Do both hold the same? False where one can't be read. `root`: of the project."""
    if (checkpoint.size, checkpoint.folder) != (other.size, other.folder):
        return False
    places = root / checkpoint.path, root / other.path
    try:
        if checkpoint.folder:
            digests = [content_of(place).sha256 for place in places]
            return bool(digests[0]) and digests[0] == digests[1]
        return _equal(*places)
    except (OSError, HostError):
        return False


def _equal(path: Path, other: Path) -> bool:
    with open_regular(path) as file, open_regular(other) as another:
        while True:
            block = file.read(BLOCK)
            if block != another.read(BLOCK):
                return False
            if not block:
                return True
