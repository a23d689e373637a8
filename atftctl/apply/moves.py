"""The moves of one transaction: which file gets which content, and from which staged file; and carrying them out.

Whether a move is done is judged by the files on disk, so that each part of it can be interrupted and repeated. A move
from a journal is only believed where it stays inside the project.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from atftctl.domain.errors import InterventionNeeded
from atftctl.host.copying.copier import copy_new
from atftctl.host.errors import HostError, OutsideProjectError
from atftctl.host.files.attributes import take_over
from atftctl.host.files.containment import is_path
from atftctl.host.files.durable import remove, rename, write_link, write_new
from atftctl.host.files.fingerprint import LINK, digest_of, is_link, remember_hash
from atftctl.host.files.folders import fsync_dir, make_dirs, opened
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

STAGED = re.compile(r"\.[\w.-]+\.\d+\.(staged|back)")
DIGEST = re.compile(rf"[0-9a-f]{{64}}|{LINK}[^\0]+", re.DOTALL)
Content = bytes | Path


@dataclass(frozen=True)
class Move:
    """One target in the journal.

    `old`, `new`: SHA-256 of the content before and after; None where there is no file; "link:TARGET" for a symlink.
    `folder`: where the staged file lies, relative to the project, if it can't lie beside the target because the
    target's folder is still a file. `unit`: the folder that is removed, too, where the last of its files is.
    """

    path: str
    staged: str
    old: str | None
    new: str | None
    mode: int
    old_mode: int = 0o644
    folder: str | None = None
    old_kept: dict[str, Any] | None = None  # owner, group and attributes, for a file that is gone
    new_kept: dict[str, Any] | None = None
    unit: str = ""

    def back(self) -> Move:
        """Return the move that undoes this one."""
        staged = f"{self.staged.removesuffix('.staged')}.back"
        return Move(
            self.path,
            staged,
            self.new,
            self.old,
            self.old_mode,
            self.mode,
            self.folder,
            self.new_kept,
            self.old_kept,
            self.unit,
        )


def moves_of(body: Mapping[str, Any]) -> tuple[Move, ...]:
    """Read the moves of a journal's record. Raises InterventionNeeded for a move that atftctl does not write."""
    try:
        moves = tuple(Move(**move) for move in body["moves"])
    except (KeyError, TypeError):
        moves = (Move("", "", None, None, 0),)
    for move in moves:
        if not _is_sound(move):
            raise InterventionNeeded(
                tr("the journal can't be trusted: it holds a change that atftctl does not make"),
                state=tr("no file has changed"),
                hint=tr("compare your files with the snapshots, then move .atftctl/journal away"),
            )
    return moves


def _is_sound(move: Move) -> bool:
    names = is_path(move.path) and isinstance(move.staged, str) and STAGED.fullmatch(move.staged)
    digests = all(
        digest is None or (isinstance(digest, str) and DIGEST.fullmatch(digest)) for digest in (move.old, move.new)
    )
    modes = all(type(mode) is int and 0 <= mode <= 0o777 for mode in (move.mode, move.old_mode))
    folder = move.folder is None or (
        isinstance(move.folder, str) and PurePosixPath(move.path).is_relative_to(PurePosixPath(move.folder))
    )
    unit = move.unit == "" or (
        isinstance(move.unit, str) and PurePosixPath(move.unit) in PurePosixPath(move.path).parents
    )
    return bool(
        names
        and digests
        and modes
        and folder
        and unit
        and _are_attributes(move.old_kept)
        and _are_attributes(move.new_kept)
    )


def _are_attributes(kept: object) -> bool:
    """Are these an owner, a group and attributes as a manifest holds them, or None?"""
    return kept is None or (
        isinstance(kept, dict)
        and all(type(kept.get(name)) is int for name in ("uid", "gid"))
        and isinstance(kept.get("attributes"), dict)
        and all(isinstance(value, str) for value in kept["attributes"].values())
    )


def mode_of(path: Path, default: int = 0o644) -> int:
    """Return a file's permissions without setuid, setgid and sticky, which data files don't need."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return default


def staged_path(layout: Layout, move: Move) -> Path:
    """Return where the staged file of a move lies. Raises OutsideProjectError."""
    if move.folder is None:
        return layout.place(move.path).with_name(move.staged)
    return layout.place(str(PurePosixPath(move.folder) / "x")).with_name(move.staged)


def stage(layout: Layout, move: Move, content: Content) -> str:
    """Write the new file of a move and return the digest of what was written. Raises OSError, HostError."""
    target, staged = layout.place(move.path), staged_path(layout, move)
    if move.folder is None:
        make_dirs(target.parent)
    if is_link(move.new):
        digest = str(move.new)
        write_link(staged, digest.removeprefix(LINK))
    elif isinstance(content, bytes):
        digest = write_new(staged, content, move.mode)
    else:
        digest = copy_new(content, staged, move.mode).sha256
    if digest == move.new:
        take_over(target, staged, move.mode, move.new_kept)
        if not is_link(digest):
            remember_hash(staged, digest)
    return digest


def roll_forward(layout: Layout, moves: Sequence[Move]) -> None:
    """Put every staged file in place, but for those that are in place already. All are checked before one is changed.

    Called after COMMIT, and again by recovery if a crash came between two renames.

    Raises InterventionNeeded where a target is neither old nor new, or a staged file is missing or damaged; OSError.
    """
    pending = [(move, target) for move in in_order(moves) if (target := _pending(layout, move))]
    for move, target in pending:
        if move.new is None:
            remove(target)
            continue
        if move.folder is not None:
            _clear_folder(target)
        rename(staged_path(layout, move), target)
    _remove_empty_units(layout, moves)
    for folder in {_existing(layout.place(move.path).parent) for move in moves}:
        fsync_dir(folder)
    unstage(layout, moves)


def _remove_empty_units(layout: Layout, moves: Sequence[Move]) -> None:
    """Remove the folders of checkpoints whose last file was removed: a trainer would take an empty one for a
    checkpoint. A folder in which anything is left stays."""
    for move in moves:
        if move.new is not None or not move.unit:
            continue
        unit = PurePosixPath(move.unit)
        for folder in PurePosixPath(move.path).parents:
            if not folder.is_relative_to(unit) or not _removed_empty(layout.place(str(folder / "x")).parent):
                break


def _removed_empty(folder: Path) -> bool:
    try:
        with opened(folder.parent) as parent:
            os.rmdir(folder.name, dir_fd=parent)
    except FileNotFoundError:  # already, by the move of another file
        return True
    except OSError:
        return False
    return True


def in_order(moves: Iterable[Move]) -> list[Move]:
    """Sort moves: files that are removed come last.

    They come first where a new file needs their name: a file whose name becomes a folder's, and files in a folder whose
    name becomes a file's.
    """
    moves = list(moves)
    special = [PurePosixPath(move.path) for move in moves if move.folder is not None]

    def rank(move: Move) -> int:
        path = PurePosixPath(move.path)
        if move.new is not None:
            return 1
        clash = any(path != other and (other.is_relative_to(path) or path.is_relative_to(other)) for other in special)
        return 0 if clash else 2

    return sorted(moves, key=rank)


def _clear_folder(target: Path) -> None:
    """Remove the empty folders that are in a new file's place, and create the folder that it needs. Raises OSError
    where a folder is not empty."""
    if target.is_dir() and not target.is_symlink():
        for folder, _, _ in os.walk(target, topdown=False):
            with opened(Path(folder).parent) as parent:
                os.rmdir(Path(folder).name, dir_fd=parent)  # fails where somebody put a file there meanwhile
    make_dirs(target.parent)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that still exists (empty ones were removed)."""
    while not folder.is_dir():
        folder = folder.parent
    return folder


def is_old(layout: Layout, move: Move) -> bool:
    """Has the target its old content and mode, so that there is nothing to undo? Raises HostError, OSError."""
    target = layout.place(move.path)
    if _digest_at(target, move) != move.old:
        return False
    return move.old != move.new or is_link(move.old) or mode_of(target) == move.old_mode


def _pending(layout: Layout, move: Move) -> Path | None:
    """Return the target that this move has still to replace; None where it is done.

    Raises InterventionNeeded where the target is neither old nor new, or its staged file is missing or damaged.
    """
    try:
        target, staged = layout.place(move.path), staged_path(layout, move)
        digest = _digest_at(target, move)
    except HostError as error:
        raise InterventionNeeded(str(error), state=untouched(layout)) from None
    if digest == move.new and (move.old != move.new or is_link(move.new) or mode_of(target) == move.mode):
        return None
    if digest not in (move.old, None):
        raise InterventionNeeded(
            tr("{path} is neither the old nor the new file", path=move.path),
            state=untouched(layout),
            hint=tr("move this file away, then run: atftctl recover"),
        )
    if move.new is not None and digest_of(staged) != move.new:
        raise InterventionNeeded(
            tr("{staged}, the new content of {path}, is missing or damaged", staged=move.staged, path=move.path),
            state=untouched(layout),
            hint=tr("if git stash or git clean removed it, bring it back, then run: atftctl recover"),
        )
    return target


def _digest_at(target: Path, move: Move) -> str | None:
    """Return the digest of the file at the target; None for a folder whose name is, or was, a file's."""
    if move.folder is not None and target.is_dir() and not target.is_symlink():
        return None
    return digest_of(target)


def unstage(layout: Layout, moves: Sequence[Move]) -> None:
    """Remove the staged files durably, because the journal that names them is removed next.

    A path that leaves the project is skipped: atftctl never staged a file there.
    """
    folders = set()
    for move in moves:
        try:
            staged = staged_path(layout, move)
        except OutsideProjectError:
            continue
        if remove(staged):
            folders.add(staged.parent)
    for folder in folders:
        fsync_dir(folder)


def untouched(layout: Layout) -> str:
    """Say, for the state of an error, that journal and snapshots are as they were."""
    return tr(
        "the journal {journal} and the snapshots in {backups} are untouched",
        journal=layout.journal,
        backups=layout.backups,
    )
