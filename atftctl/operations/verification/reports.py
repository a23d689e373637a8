"""Files that a command writes for other programs, where the operator says: JUnit XML, pictures."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.domain.errors import Refused, UsageError
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.protocol.messages import tr


def check_writable(path: Path) -> None:
    """Raises UsageError for a file that can't be written: said before anything is measured."""
    place = _place(path)
    if os.path.lexists(place) and not (place.is_file() and not place.is_symlink()):
        raise UsageError(tr("{path} is not a regular file", path=path))
    if not place.parent.is_dir():
        raise UsageError(tr("the folder {folder} does not exist", folder=place.parent))
    if not os.access(place.parent, os.W_OK):
        raise UsageError(tr("the folder {folder} can't be written", folder=place.parent))


def write_report(path: Path, content: bytes, state: str = "") -> None:
    """Replace the file: it holds the whole old or the whole new content. `state`: what is true where that fails. Raises
    Refused where it can't be written."""
    place = _place(path)
    try:
        write_durably(place, content)
    except (OSError, HostError) as error:
        raise Refused(
            tr("{path} can't be written: {reason}", path=path, reason=reason(error)),
            state=state or tr("the checks were made; their result was not written"),
        ) from None


def _place(path: Path) -> Path:
    """The file with its folder as a real path: the operator may name a folder by a symlink."""
    return path.parent.resolve() / path.name
