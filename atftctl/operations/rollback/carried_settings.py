"""Keep settings that atftctl set in a config when a commit that changes the same config is reverted.

They are carried over key by key: the commit of an improvement usually changes the very config that was rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atftctl.decide.plans.setting_changes import flat, same
from atftctl.domain.text import value_text
from atftctl.host.errors import HostError, YamlError
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import worktree
from atftctl.host.yaml_text.read import MAX_BYTES, read
from atftctl.operations.project import Project
from atftctl.protocol.keys import KeyPath, key_text
from atftctl.protocol.messages import tr
from atftctl.state import history


def own_edits(project: Project, base: str, path: str, *, filters: bool = True) -> dict[KeyPath, Any] | None:
    """Return the settings by which a config differs from the commit `base`.

    None unless operations of atftctl wrote the config as it is now, and these settings are all that differs. `filters`:
    may filters of the repository run?
    """
    from atftctl.host.yaml_text.edit import edit

    try:
        present = read_bytes(project.layout.place(path), MAX_BYTES + 1)
        committed = worktree.file_as_checked_out(project.layout.root, base, path, filters=filters)
        before, after = flat(read(committed).value or {}), flat(read(present).value or {})
        if before.keys() - after.keys():
            return None
        edits = {key: value for key, value in after.items() if key not in before or not same(before[key], value)}
        own = bool(edits) and _are_own(project, path, sha256_bytes(present), edits)
        return edits if own and edit(committed, edits) == present else None
    except (OSError, HostError):
        return None


def _are_own(project: Project, path: str, digest: str, keys: Iterable[KeyPath]) -> bool:
    """Did an operation write this file as it is now, and did operations set each of these keys?"""
    entries = [
        (entry, file)
        for entry in history.read(project.layout)
        for file in entry.get("files", [])
        if file["path"] == path and file["old"] != file["new"]
    ]
    if not entries or entries[-1][1]["new"] != digest:
        return False
    changes = [str(change) for entry, _ in entries for change in entry.get("changes") or ()]
    return all(any(change.startswith(f"{key_text(key)}: ") for change in changes) for key in keys)


def carry(edits: Mapping[KeyPath, Any], committed: bytes, reverted: bytes) -> tuple[bytes, list[str]]:
    """Return the reverted config with these settings in it, and a note on each.

    A setting that the revert removes is not kept. `committed`, `reverted`: the config before and after the revert.
    Raises YamlError where it can't be edited.
    """
    from atftctl.host.yaml_text.edit import edit

    before, after = flat(read(committed).value or {}), flat(read(reverted).value or {})
    removed = [key for key in edits if key in before and key not in after]
    wanted = {key: value for key, value in edits.items() if key not in removed and not same(after.get(key), value)}
    notes: list[str] = [
        tr("{key}: {value} is kept, as an operation of atftctl set it", key=key_text(key), value=value_text(edits[key]))
        for key in wanted
    ]
    notes += [
        tr("{key} is removed by the revert, with the value that an operation of atftctl set", key=key_text(key))
        for key in removed
    ]
    try:
        return (edit(reverted, wanted) if wanted else reverted), notes
    except YamlError as error:
        raise YamlError(
            tr("its settings can't be carried over: {reason}", reason=error.reason), line=error.line
        ) from None
