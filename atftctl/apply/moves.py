"""The moves of one transaction: which file becomes what, from which staged file; and carrying them out.

A move is judged by what stands at its names, so that any part of it can die and be done again. What a journal says of
a move is believed only where it stays inside the project.
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
from atftctl.state.layout import Layout

STAGED = re.compile(r"\.[\w.-]+\.\d+\.(staged|back)")
DIGEST = re.compile(rf"[0-9a-f]{{64}}|{LINK}[^\0]+", re.DOTALL)
Content = bytes | Path


@dataclass(frozen=True)
class Move:
    """One target in the journal. `old` or `new` is None where there is, or shall be, no file; "link:TARGET" for a
    symlink. `folder`: where the staged file lies, relative to the project, where that is not beside the target (a
    folder that is a file still)."""

    path: str
    staged: str
    old: str | None
    new: str | None
    mode: int
    old_mode: int = 0o644
    folder: str | None = None
    old_kept: dict[str, Any] | None = None  # owner, group and attributes, for a file that is not there to ask
    new_kept: dict[str, Any] | None = None

    def back(self) -> Move:
        """The move that takes this one back."""
        staged = f"{self.staged.removesuffix('.staged')}.back"
        return Move(
            self.path, staged, self.new, self.old, self.old_mode, self.mode, self.folder, self.new_kept, self.old_kept
        )


def moves_of(body: Mapping[str, Any]) -> tuple[Move, ...]:
    """The moves of a journal's record. Raises InterventionNeeded for what is none that we wrote."""
    try:
        moves = tuple(Move(**move) for move in body["moves"])
    except (KeyError, TypeError):
        moves = (Move("", "", None, None, 0),)
    for move in moves:
        if not _is_sound(move):
            raise InterventionNeeded(
                "the journal can't be trusted: it holds a move that atftctl does not make",
                state="no file was touched",
                hint="look at .atftctl/journal; compare files and snapshots, then move the journal away",
            )
    return moves


def _is_sound(move: Move) -> bool:
    words = is_path(move.path) and isinstance(move.staged, str) and STAGED.fullmatch(move.staged)
    digests = all(one is None or (isinstance(one, str) and DIGEST.fullmatch(one)) for one in (move.old, move.new))
    modes = all(type(mode) is int and 0 <= mode <= 0o777 for mode in (move.mode, move.old_mode))
    folder = move.folder is None or (
        isinstance(move.folder, str) and PurePosixPath(move.path).is_relative_to(PurePosixPath(move.folder))
    )
    return bool(words and digests and modes and folder and _is_beside(move.old_kept) and _is_beside(move.new_kept))


def _is_beside(kept: object) -> bool:
    """Owner, group and attributes as a manifest has them, or nothing."""
    return kept is None or (
        isinstance(kept, dict)
        and all(type(kept.get(name)) is int for name in ("uid", "gid"))
        and isinstance(kept.get("attributes"), dict)
        and all(isinstance(value, str) for value in kept["attributes"].values())
    )


def mode_of(path: Path, default: int = 0o644) -> int:
    """Permissions of what stands there, without setuid, setgid and sticky: a file of data needs none of them."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return default


def staged_path(layout: Layout, move: Move) -> Path:
    """Raises OutsideProjectError."""
    if move.folder is None:
        return layout.place(move.path).with_name(move.staged)
    return layout.place(str(PurePosixPath(move.folder) / "x")).with_name(move.staged)


def stage(layout: Layout, move: Move, content: Content) -> str:
    """Write the new file of a move; the digest of what was written. Raises OSError, HostError."""
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
    """Put every staged file in place; what is there already is left alone. Looks at all before it touches one.

    Raises InterventionNeeded where a target is neither old nor new, or a staged file is missing or damaged; OSError.
    """
    todo = [(move, target) for move in in_order(moves) if (target := _pending(layout, move))]
    for move, target in todo:
        if move.new is None:
            remove(target)
            continue
        if move.folder is not None:
            _make_way(target)
        rename(staged_path(layout, move), target)
    for folder in {_existing(layout.place(move.path).parent) for move in moves}:
        fsync_dir(folder)
    unstage(layout, moves)


def in_order(moves: Iterable[Move]) -> list[Move]:
    """What goes, goes last; but a file whose name becomes a folder, and what lies in a folder whose name becomes a
    file, goes first."""
    moves = list(moves)
    special = [PurePosixPath(move.path) for move in moves if move.folder is not None]

    def rank(move: Move) -> int:
        path = PurePosixPath(move.path)
        if move.new is not None:
            return 1
        clash = any(path != other and (other.is_relative_to(path) or path.is_relative_to(other)) for other in special)
        return 0 if clash else 2

    return sorted(moves, key=rank)


def _make_way(target: Path) -> None:
    """For a file in a folder that was a file, or the other way round: the old ones are gone by now."""
    if target.is_dir() and not target.is_symlink():
        for folder, _, _ in os.walk(target, topdown=False):
            with opened(Path(folder).parent) as parent:
                os.rmdir(Path(folder).name, dir_fd=parent)  # not empty: somebody's file came meanwhile
    make_dirs(target.parent)


def _existing(folder: Path) -> Path:
    """Itself, or what is above it where it went when it was empty."""
    while not folder.is_dir():
        folder = folder.parent
    return folder


def is_old(layout: Layout, move: Move) -> bool:
    """Does what stands there have to go nowhere when this move is taken back? Raises HostError, OSError."""
    target = layout.place(move.path)
    if _standing(target, move) != move.old:
        return False
    return move.old != move.new or is_link(move.old) or mode_of(target) == move.old_mode


def _pending(layout: Layout, move: Move) -> Path | None:
    """The target that this move has still to replace; None where it is done."""
    try:
        target, staged = layout.place(move.path), staged_path(layout, move)
        stands = _standing(target, move)
    except HostError as error:
        raise InterventionNeeded(str(error), state=untouched(layout)) from None
    if stands == move.new and (move.old != move.new or is_link(move.new) or mode_of(target) == move.mode):
        return None
    if stands not in (move.old, None):
        raise InterventionNeeded(
            f"{move.path} is neither the old nor the new file",
            state=untouched(layout),
            hint="move it away, then: atftctl recover",
        )
    if move.new is not None and digest_of(staged) != move.new:
        raise InterventionNeeded(
            f"{move.staged}, staged for {move.path}, is missing or damaged",
            state=untouched(layout),
            hint="if something took it away since (git stash, git clean), bring it back, then: atftctl recover",
        )
    return target


def _standing(target: Path, move: Move) -> str | None:
    """What stands at the target; a folder is no file, yet or any more."""
    if move.folder is not None and target.is_dir() and not target.is_symlink():
        return None
    return digest_of(target)


def unstage(layout: Layout, moves: Sequence[Move]) -> None:
    """Durably: the journal that names them goes next. What does not stay inside the project was never ours."""
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
    return f"the journal {layout.journal} and the snapshots in {layout.backups} are untouched"
