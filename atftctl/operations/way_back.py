"""The command that brings a broken or missing config back: a snapshot's copy, else the one that git has."""

from __future__ import annotations

from atftctl.domain.snapshot import Snapshot
from atftctl.host.errors import HostError
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import facts as git
from atftctl.host.yaml_text.read import MAX_BYTES, read
from atftctl.observe.snapshots import catalog as observed
from atftctl.state import checked_copies
from atftctl.state.layout import Layout

BY_HAND = "mend it by hand; neither a snapshot nor git has a copy that can be read"


def of_config(layout: Layout, snapshots: tuple[Snapshot, ...], path: str) -> str:
    """A command that can be pasted, with a real id; words where there is none."""
    if (layout.root / path).is_symlink():
        return f"put the file itself there: cp --remove-destination $(readlink -f {path}) {path}"
    known = checked_copies.checked(layout)
    for snapshot in reversed(snapshots):
        if (
            snapshot.file(path)
            and not observed.known_damage(layout, snapshot, known)
            and _reads(layout, snapshot, path)
        ):
            return f"atftctl restore {snapshot.id} --only configs"
    return of_git(layout, path) or BY_HAND


def of_git(layout: Layout, path: str) -> str:
    """The same from the last commit; "" where that has no such config either."""
    try:
        found = git.file_at(layout.root, "HEAD", path)
        if found and isinstance(read(found[0]).value, dict):
            return f"atftctl restore git:HEAD {path}"
    except HostError:
        pass
    return ""


def _reads(layout: Layout, snapshot: Snapshot, path: str) -> bool:
    try:
        return isinstance(read(read_bytes(layout.snapshot(snapshot.id) / path, MAX_BYTES + 1)).value, dict)
    except (OSError, HostError):
        return False
