"""Write a picture to the file that the operator names."""

from __future__ import annotations

import stat
from pathlib import Path

from atftctl.domain.errors import Refused, UsageError
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.protocol.messages import tr

SUFFIX = ".svg"


def check(path: Path) -> None:
    """Raises UsageError for a name that is not that of an SVG file: a config or a model that is named by mistake must
    not be overwritten."""
    if path.suffix.lower() != SUFFIX:
        raise UsageError(
            tr("--plot writes SVG, and {path} is not the name of an SVG file", path=path),
            hint=tr("choose a name that ends in .svg"),
        )


def write(path: Path, text: str) -> None:
    """Write the file, or replace it by the new one as a whole. Raises UsageError as `check` does; Refused for a
    symlink and for what is not a regular file, and where the file can't be written."""
    check(path)
    try:
        path = path.parent.resolve() / path.name
        if path.is_symlink() or (path.exists() and not stat.S_ISREG(path.lstat().st_mode)):
            raise Refused(
                tr("{path} is a symlink, or not a regular file; it was not replaced", path=path),
                hint=tr("choose another name for the picture"),
            )
        write_durably(path, text.encode("utf-8", "replace"))
    except (OSError, HostError, RuntimeError, ValueError) as error:
        raise Refused(
            tr("{path} can't be written: {reason}", path=path, reason=reason(error)),
            hint=tr("choose another name for the picture"),
        ) from None
