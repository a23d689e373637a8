"""Write a page to the file that the operator names."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.record import record
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import joined, tr

HEAD = 4096  # bytes at the begin of a page that say whose it is


@record
class PageKind:
    """A kind of page. `option`: by which it is asked for. `suffixes`: of its file. `mark`: what each of ours has in its
    head."""

    option: str
    suffixes: tuple[str, ...]
    mark: str


def check(path: Path, kind: PageKind, *, force: bool) -> None:
    """Said before anything is read: raises UsageError for a name that is not that of a page, a folder that is missing
    and a file that is none; Refused for a file that holds no page of ours, unless `force`."""
    if path.suffix.lower() not in kind.suffixes:
        raise UsageError(
            tr("{option} can't write {path}: it is not the name of such a file", option=kind.option, path=path),
            hint=tr("choose a name that ends in {suffixes}", suffixes=joined(", ", kind.suffixes)),
        )
    place = _place(path)
    if not place.parent.is_dir():
        raise UsageError(tr("the folder {folder} does not exist", folder=place.parent))
    if not os.path.lexists(place):
        return
    if not stat.S_ISREG(place.lstat().st_mode):
        raise Refused(
            tr("{path} is a symlink, or not a regular file; it was not replaced", path=path),
            hint=tr("choose another name for the page"),
        )
    if not force and not _is_ours(place, kind):
        raise Refused(
            tr("{path} exists, and atftctl has not written it; it was not replaced", path=path),
            hint=tr("choose another name for the page, or replace the file: --force"),
        )


def write(path: Path, text: str, kind: PageKind, *, force: bool) -> None:
    """Write the page, or replace it by the new one as a whole. Raises as `check`, and Refused where the file can't be
    written."""
    check(path, kind, force=force)
    try:
        write_durably(_place(path), text.encode("utf-8", "replace"))
    except (OSError, HostError, RuntimeError, ValueError) as error:
        raise Refused(
            tr("{path} can't be written: {reason}", path=path, reason=reason(error)),
            hint=tr("choose another name for the page"),
        ) from None


def _place(path: Path) -> Path:
    """The file with its folder as a real path: the operator may name a folder by a symlink."""
    try:
        return path.parent.resolve() / path.name
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(tr("{path} can't be written: {reason}", path=path, reason=reason(error))) from None


def _is_ours(path: Path, kind: PageKind) -> bool:
    """Is it a page of ours, or empty?"""
    try:
        head = read_bytes(path, HEAD)
    except (OSError, HostError):
        return False
    return not head or kind.mark.encode() in head
