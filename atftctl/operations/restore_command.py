"""Name the command that restores a broken or missing config: from a snapshot, else from git."""

from __future__ import annotations

from atftctl.domain.snapshot import Snapshot
from atftctl.host.errors import HostError
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import facts as git
from atftctl.host.yaml_text.read import MAX_BYTES, read
from atftctl.observe.snapshots import catalog
from atftctl.protocol.messages import tr
from atftctl.state import checked_copies
from atftctl.state.layout import Layout


def restore_command(layout: Layout, snapshots: tuple[Snapshot, ...], path: str) -> str:
    """Return a command that can be pasted, with a real id; advice where no copy can be read. `path`: the config."""
    if (layout.root / path).is_symlink():
        return tr(
            "replace the symlink by its file: cp --remove-destination $(readlink -f {path}) {path}",
            path=path,
        )
    known = checked_copies.checked(layout)
    for snapshot in reversed(snapshots):
        usable = snapshot.file(path) and not catalog.known_damage(layout, snapshot, known)
        if usable and _is_readable(layout, snapshot, path):
            return f"atftctl restore {snapshot.id} --only configs"
    return _from_git(layout, path) or tr(
        "correct {path} with an editor: neither a snapshot nor git has a readable copy", path=path
    )


def _from_git(layout: Layout, path: str) -> str:
    """Return the command that restores it from the last commit; "" where that has no readable copy."""
    try:
        file = git.file_at(layout.root, "HEAD", path)
        if file and isinstance(read(file[0]).value, dict):
            return f"atftctl restore git:HEAD {path}"
    except HostError:
        pass
    return ""


def _is_readable(layout: Layout, snapshot: Snapshot, path: str) -> bool:
    try:
        return isinstance(read(read_bytes(layout.snapshot(snapshot.id) / path, MAX_BYTES + 1)).value, dict)
    except (OSError, HostError):
        return False
