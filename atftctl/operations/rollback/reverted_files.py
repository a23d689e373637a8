"""The files between two commits of a revert, as git checks them out for the newer one; with settings of our own carried
over."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from atftctl.decide.plans.by_commits import NewFile
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import Refused
from atftctl.host.files.fingerprint import digest_of, sha256_bytes, sha256_file
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import facts as git
from atftctl.host.git import worktree
from atftctl.operations.change import branch_check
from atftctl.operations.project import Project
from atftctl.operations.rollback import carried_settings
from atftctl.protocol.keys import KeyPath


@dataclass(frozen=True)
class Reverted:
    """What came of it in the work tree: where the branch would go, the files on the way, and what is to be said."""

    move: CodeMove
    files: tuple[NewFile, ...]
    contents: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


def read(project: Project, folder: Path, move: CodeMove) -> Reverted:
    """`folder`: the work tree that the reverts were made in. Raises Refused, GitError, YamlError."""
    root, folder = project.layout.root, folder.resolve()
    top = git.prefix(root)
    changes = _changes(project, folder, move, top)
    edits = _edits(project, move.old, [change.path for change in changes], top)
    going = {change.path for change in changes if change.new_mode == git.NONE}
    _refuse_folder_links(changes)
    files, contents, notes = [], dict[str, bytes](), list[str]()
    for change in changes:
        path = os.path.relpath(change.path, top or ".")
        _refuse(root, path, change, going, top)
        if change.new_mode in (git.NONE, git.SYMLINK):
            kept = None if change.new_mode == git.NONE else digest_of(folder / change.path)
            files.append(NewFile(path, kept, 0o777))
            continue
        data = read_bytes(folder / change.path)
        if path in edits:
            committed = worktree.file_as_checked_out(root, move.old, path)
            data, told = carried_settings.carry(edits[path], committed, data)
            notes += told
        contents[path] = data
        mode = int(change.new_mode, 8) & 0o777
        files.append(NewFile(path, sha256_bytes(data), mode, moded=change.old_mode != change.new_mode))
    if not files:
        raise Refused("with these commits taken back nothing is another")
    return Reverted(move, tuple(files), contents, tuple(notes))


def _changes(project: Project, folder: Path, move: CodeMove, top: str) -> list[git.FileChange]:
    """What differs between the commits, checked out anew in the work tree: whatever a smoke check has written there,
    and with the newer commit's attributes. Raises Refused, GitError."""
    root = project.layout.root
    changes = git.changes(root, move.old, move.new)
    if unseen := sorted(git.files_with_hidden_changes(root) & {change.path.removeprefix(top) for change in changes}):
        raise Refused(f"git was told not to see changes of {unseen[0]}", hint="git update-index --no-skip-worktree")
    attributes = any(PurePosixPath(change.path).name == ".gitattributes" for change in changes)
    names = [change.path for change in changes]
    worktree.reset_files(folder, move.new, git.tree_files(folder, move.new) if attributes else names)
    return changes + (_with_other_bytes(project, folder, move.new, set(names), top) if attributes else [])


def _refuse_folder_links(changes: Sequence[git.FileChange]) -> None:
    """Raises Refused where a symlink becomes a folder, or a folder a symlink: what lies below its name would be written
    through it."""
    links = {change.path for change in changes if git.SYMLINK in (change.old_mode, change.new_mode)}
    for change in changes:
        if through := links & {str(folder) for folder in PurePosixPath(change.path).parents}:
            raise Refused(
                f"{through.pop()} is a symlink in one commit and a folder in the other: git revert it by hand"
            )


def _refuse(root: Path, path: str, change: git.FileChange, going: set[str], top: str) -> None:
    """Raises Refused for what can't be taken back as a file."""
    if git.MODULE in (change.old_mode, change.new_mode):
        raise Refused(f"{path} is a submodule: git revert it by hand")
    if change.old_mode == git.NONE:
        _refuse_in_the_way(root, path, going, top)


def _edits(project: Project, base: str, paths: Sequence[str], top: str) -> dict[str, dict[KeyPath, Any]]:
    """Settings that we made ourselves in configs among these. Raises Refused for another file that is not committed."""
    found, blocked = {}, []
    for path in branch_check.dirty_among(project, paths):
        name = path.removeprefix(top)
        edits = carried_settings.own_edits(project, base, name) if name in project.runbook.files.configs else None
        if edits is None:
            blocked.append(path)
        else:
            found[name] = edits
    branch_check.refuse_dirty(blocked)
    return found


def _with_other_bytes(project: Project, folder: Path, commit: str, known: set[str], top: str) -> list[git.FileChange]:
    """Files that the commits do not change, and that git checks out with other bytes now: their attributes changed."""
    root, found = project.layout.root, []
    for path in set(git.tree_files(folder, commit)) - known - set(worktree.dirty(root)):
        if not path.startswith(top):
            continue
        stands, comes = root / path.removeprefix(top), folder / path
        if stands.is_symlink() or not stands.is_file() or sha256_file(stands.resolve()) == sha256_file(comes.resolve()):
            continue
        mode = f"100{stands.stat().st_mode & 0o777:o}"
        found.append(git.FileChange(path, mode, mode, ""))
    return found


def _refuse_in_the_way(root: Path, path: str, going: set[str], top: str) -> None:
    """Raises Refused where something stands where a file would come back that git does not know."""
    place = root / path
    if not os.path.lexists(place):
        return
    if place.is_dir() and not place.is_symlink():
        inside = [Path(folder, name) for folder, _, names in os.walk(place) for name in names]
        strange = [name for name in inside if f"{top}{name.relative_to(root)}" not in going]
        if inside and not strange:
            return
        raise Refused(f"{path} would come back as a file, and a folder stands there that git does not know all of")
    raise Refused(f"{path} would come back, and a file that git does not know stands there")
