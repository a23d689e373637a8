"""Read the files of a revert, as git checks them out in the work tree, with settings that atftctl made carried over."""

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
from atftctl.protocol.messages import tr


@dataclass(frozen=True)
class Reverted:
    """A revert in a work tree. `move`: of the branch. `files`: that change. `contents`: by path. `notes`: on settings
    that are kept."""

    move: CodeMove
    files: tuple[NewFile, ...]
    contents: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


def read(project: Project, folder: Path, move: CodeMove) -> Reverted:
    """Read the files that the revert changes. `folder`: its work tree. Raises Refused for what can't be put in place as
    a file, GitError, YamlError."""
    root, folder = project.layout.root, folder.resolve()
    top = git.prefix(root)
    changes = _changes(project, folder, move, top)
    edits = _own_edits(project, move.old, [change.path for change in changes], top)
    removed = {change.path for change in changes if change.new_mode == git.NONE}
    _refuse_folder_links(changes)
    files, contents, notes = [], dict[str, bytes](), list[str]()
    for change in changes:
        path = os.path.relpath(change.path, top or ".")
        _refuse(root, path, change, removed, top)
        if change.new_mode in (git.NONE, git.SYMLINK):
            link = None if change.new_mode == git.NONE else digest_of(folder / change.path)
            files.append(NewFile(path, link, 0o777))
            continue
        data = read_bytes(folder / change.path)
        if path in edits:
            committed = worktree.file_as_checked_out(root, move.old, path)
            data, kept = carried_settings.carry(edits[path], committed, data)
            notes += kept
        contents[path] = data
        mode = int(change.new_mode, 8) & 0o777
        files.append(NewFile(path, sha256_bytes(data), mode, moded=change.old_mode != change.new_mode))
    if not files:
        raise Refused(tr("nothing to revert: these commits change no file of the project"))
    return Reverted(move, tuple(files), contents, tuple(notes))


def _changes(project: Project, folder: Path, move: CodeMove, top: str) -> list[git.FileChange]:
    """Return what differs between the commits.

    The files are checked out again in the work tree, with the attributes of the newer commit: the smoke check may have
    written to them. Raises Refused, GitError.
    """
    root = project.layout.root
    changes = git.changes(root, move.old, move.new)
    if unseen := sorted(git.files_with_hidden_changes(root) & {change.path.removeprefix(top) for change in changes}):
        raise Refused(
            tr("git is set to ignore changes of {path}", path=unseen[0]), hint="git update-index --no-skip-worktree"
        )
    attributes = any(PurePosixPath(change.path).name == ".gitattributes" for change in changes)
    names = [change.path for change in changes]
    worktree.reset_files(folder, move.new, git.tree_files(folder, move.new) if attributes else names)
    return changes + (_with_new_attributes(project, folder, move.new, set(names), top) if attributes else [])


def _with_new_attributes(
    project: Project, folder: Path, commit: str, known: set[str], top: str
) -> list[git.FileChange]:
    """Return files that the commits do not change, but that git checks out with other bytes, since their attributes
    changed."""
    root, changes = project.layout.root, []
    for path in set(git.tree_files(folder, commit)) - known - set(worktree.dirty(root)):
        if not path.startswith(top):
            continue
        present, new = root / path.removeprefix(top), folder / path
        if present.is_symlink() or not present.is_file():
            continue
        if sha256_file(present.resolve()) == sha256_file(new.resolve()):
            continue
        mode = f"100{present.stat().st_mode & 0o777:o}"
        changes.append(git.FileChange(path, mode, mode, ""))
    return changes


def _own_edits(project: Project, base: str, paths: Sequence[str], top: str) -> dict[str, dict[KeyPath, Any]]:
    """Return the settings that atftctl made in uncommitted configs, by path. Raises Refused for any other uncommitted
    file."""
    edits_of, blocked = {}, []
    for path in branch_check.uncommitted_among(project, paths):
        name = path.removeprefix(top)
        edits = carried_settings.own_edits(project, base, name) if name in project.runbook.files.configs else None
        if edits is None:
            blocked.append(path)
        else:
            edits_of[name] = edits
    branch_check.refuse_uncommitted(blocked)
    return edits_of


def _refuse_folder_links(changes: Sequence[git.FileChange]) -> None:
    """Raises Refused where a symlink becomes a folder, or a folder a symlink: files in the folder would be written
    through the link."""
    links = {change.path for change in changes if git.SYMLINK in (change.old_mode, change.new_mode)}
    for change in changes:
        if through := links & {str(folder) for folder in PurePosixPath(change.path).parents}:
            raise Refused(
                tr("{path} is a symlink in one commit and a folder in the other", path=through.pop()),
                hint=tr("revert the commit by hand: git revert COMMIT"),
            )


def _refuse(root: Path, path: str, change: git.FileChange, removed: set[str], top: str) -> None:
    """Raises Refused for a change that can't be reverted as a file."""
    if git.MODULE in (change.old_mode, change.new_mode):
        raise Refused(tr("{path} is a submodule", path=path), hint=tr("revert the commit by hand: git revert COMMIT"))
    if change.old_mode == git.NONE:
        _refuse_untracked(root, path, removed, top)


def _refuse_untracked(root: Path, path: str, removed: set[str], top: str) -> None:
    """Raises Refused where an untracked file is in the place of a file that the revert brings back. `removed`: the
    files that the revert removes."""
    place = root / path
    if not os.path.lexists(place):
        return
    if place.is_dir() and not place.is_symlink():
        inside = [Path(folder, name) for folder, _, names in os.walk(place) for name in names]
        others = [name for name in inside if f"{top}{name.relative_to(root)}" not in removed]
        if inside and not others:
            return
        raise Refused(
            tr("the revert restores the file {path}, but a folder with untracked files is in its place", path=path)
        )
    raise Refused(tr("the revert restores {path}, but an untracked file is in its place", path=path))
