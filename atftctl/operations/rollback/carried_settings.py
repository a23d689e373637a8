"""Settings that the tool itself changed in a config, carried over key by key when a commit that changes the same config
is taken back: the improvement's commit usually touches the very config that was rolled back."""

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
from atftctl.state import history


def own_edits(project: Project, base: str, path: str, *, filters: bool = True) -> dict[KeyPath, Any] | None:
    """The settings by which a config differs from the commit `base`, where an operation of ours wrote it as it stands
    and these edits are all that it differs by; None otherwise."""
    from atftctl.host.yaml_text.edit import edit

    try:
        stands = read_bytes(project.layout.place(path), MAX_BYTES + 1)
        committed = worktree.file_as_checked_out(project.layout.root, base, path, filters=filters)
        before, after = flat(read(committed).value or {}), flat(read(stands).value or {})
        if before.keys() - after.keys():
            return None
        found = {key: value for key, value in after.items() if key not in before or not same(before[key], value)}
        ours = bool(found) and _are_ours(project, path, sha256_bytes(stands), found)
        return found if ours and edit(committed, found) == stands else None
    except (OSError, HostError):
        return None


def _are_ours(project: Project, path: str, digest: str, keys: Iterable[KeyPath]) -> bool:
    """Did an operation leave this file as it stands, and did operations set each of these keys?"""
    entries = [
        (entry, file)
        for entry in history.read(project.layout)
        for file in entry.get("files", [])
        if file["path"] == path and file["old"] != file["new"]
    ]
    if not entries or entries[-1][1]["new"] != digest:
        return False
    told = [str(change) for entry, _ in entries for change in entry.get("changes") or ()]
    return all(any(change.startswith(f"{key_text(key)}: ") for change in told) for key in keys)


def carry(edits: Mapping[KeyPath, Any], committed: bytes, reverted: bytes) -> tuple[bytes, list[str]]:
    """The reverted config with these settings in it, and what is to be said of each. A setting that goes with the
    commit is not brought back. Raises YamlError where it can't be edited."""
    from atftctl.host.yaml_text.edit import edit

    before, after = flat(read(committed).value or {}), flat(read(reverted).value or {})
    gone = [key for key in edits if key in before and key not in after]
    wanted = {key: value for key, value in edits.items() if key not in gone and not same(after.get(key), value)}
    notes = [f"{key_text(key)}: {value_text(edits[key])} is kept, as an operation of atftctl set it" for key in wanted]
    notes += [f"{key_text(key)} goes with the commits, and what an operation of atftctl set it to" for key in gone]
    try:
        return (edit(reverted, wanted) if wanted else reverted), notes
    except YamlError as error:
        raise YamlError(f"its settings can't be carried over: {error.reason}", line=error.line) from None
