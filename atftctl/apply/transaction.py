"""The commit protocol: several files change all at once or not at all, whatever dies in the middle.

INTENT, BEGIN, COMMIT and DONE are sealed records. COMMIT is the one decision point: before it everything is rolled
back, from it on everything is rolled forward. Every record is durable before it is acted on. Rolling either way
can itself die and be done again: each move is judged by the hash of what stands there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atftctl.domain.errors import NeedsPerson, PutBack
from atftctl.host import records
from atftctl.host.copying import copy_new
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files import fsync_dir, inside, know_hash, make_dirs, remove, sha256_file, write_new
from atftctl.host.layout import Layout

Content = bytes | Path


@dataclass(frozen=True)
class Move:
    """One target in the journal. `old` or `new` is None where there is, or shall be, no file."""

    path: str
    staged: str
    old: str | None
    new: str | None
    mode: int


class Transaction:
    """One operation's way through the protocol. Held under the lock throughout."""

    def __init__(self, layout: Layout, operation: str) -> None:
        self.operation = operation
        self._layout = layout
        self._moves: tuple[Move, ...] = ()

    def intend(self, body: Mapping[str, Any]) -> None:
        """Say what is about to happen, before the first thing does."""
        records.write(self._layout.journal, self.operation, "intent", body)

    def begin(self, moves: Sequence[Move]) -> None:
        self._moves = tuple(moves)
        records.write(self._layout.journal, self.operation, "begin", {"moves": [asdict(move) for move in self._moves]})

    def stage(self, contents: Mapping[str, Content]) -> None:
        """Write each new file beside its target. Raises PutBack where a copy is not what it should be."""
        folders = set()
        for move in self._moves:
            target = inside(self._layout.root, move.path)
            make_dirs(target.parent)
            folders.add(target.parent)
            if move.new is None:
                continue
            staged = target.with_name(move.staged)
            content = contents[move.path]
            if isinstance(content, bytes):
                digest = write_new(staged, content, move.mode)
            else:
                digest = copy_new(content, staged, move.mode).sha256
            if digest != move.new:
                raise PutBack(f"the copy for {move.path} is damaged: its hash is not the one that was promised")
            _keep_owner(target, staged)
            know_hash(staged, digest)
        for folder in folders:
            fsync_dir(folder)

    def decide(self) -> None:
        """The one decision point: what stands must still be what the plan was based on."""
        for move in self._moves:
            if sha256_file(inside(self._layout.root, move.path)) != move.old:
                raise PutBack(f"{move.path} was changed by somebody else in this moment")
        try:
            body = {"moves": [asdict(move) for move in self._moves]}
            records.write(self._layout.journal, self.operation, "commit", body)
        except OSError as error:
            self._withdraw(error)
            raise

    def _withdraw(self, error: OSError) -> None:
        """A COMMIT record that failed half-way may be visible and yet not durable: it must be gone before we unwind."""
        try:
            if remove(self._layout.journal / f"{self.operation}.commit.json"):
                fsync_dir(self._layout.journal)
        except OSError:
            raise NeedsPerson(
                f"whether {self.operation} is decided is not known: {error}",
                stands="no file has changed yet; the staged files stay beside their targets",
                then="mend the disk, then: atftctl recover",
            ) from None

    def replace(self) -> None:
        roll_forward(self._layout, self._moves)

    def close(self) -> None:
        """After the history line: the record becomes DONE, then everything goes."""
        journal = self._layout.journal
        commit = journal / f"{self.operation}.commit.json"
        if commit.exists():
            os.rename(commit, journal / f"{self.operation}.done.json")
            fsync_dir(journal)
        sweep(self._layout, self.operation)

    def unwind(self) -> None:
        """Before COMMIT: take the staged files away. The targets were never touched."""
        unstage(self._layout, self._moves)


def moves_of(body: Mapping[str, Any]) -> tuple[Move, ...]:
    return tuple(Move(**move) for move in body["moves"])


def roll_forward(layout: Layout, moves: Sequence[Move]) -> None:
    """Put every staged file in place; what is there already is left alone. Looks at all before it touches one.

    Raises NeedsPerson where a target is neither old nor new, or a staged file is missing or damaged.
    """
    todo = [(move, target) for move in moves if (target := _pending(layout, move))]
    for move, target in todo:
        if move.new is None:
            remove(target)
        else:
            os.replace(target.with_name(move.staged), target)
    for folder in {_standing(inside(layout.root, move.path).parent) for move in moves}:
        fsync_dir(folder)
    unstage(layout, moves)


def _standing(folder: Path) -> Path:
    """Itself, or what is above it where it went when it was empty."""
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _pending(layout: Layout, move: Move) -> Path | None:
    """The target that this move has still to replace; None where it is done."""
    try:
        target = inside(layout.root, move.path)
    except OutsideProjectError as error:
        raise NeedsPerson(str(error), stands=_where(layout)) from None
    stands = sha256_file(target)
    if stands == move.new and (move.old != move.new or mode_of(target) == move.mode):
        return None
    if stands not in (move.old, None):
        raise NeedsPerson(
            f"{move.path} is neither the old nor the new file",
            stands=_where(layout),
            then="move it away, then: atftctl recover",
        )
    if move.new is not None and sha256_file(target.with_name(move.staged)) != move.new:
        raise NeedsPerson(
            f"{move.staged}, staged for {move.path}, is missing or damaged",
            stands=_where(layout),
            then="if something took it away since (git stash, git clean), bring it back, then: atftctl recover",
        )
    return target


def unstage(layout: Layout, moves: Sequence[Move]) -> None:
    """Durably: the journal that names them goes next."""
    staged = [(layout.root / move.path).with_name(move.staged) for move in moves]
    for folder in {path.parent for path in staged if remove(path)}:
        fsync_dir(folder)


def sweep(layout: Layout, operation: str) -> None:
    """Take an ended operation's records away: whatever is left after a crash in between must still tell its end.

    DONE goes after all others are gone for sure; without it BEGIN goes, for sure, before the INTENT that explains it.
    """
    done = (layout.journal / f"{operation}.done.json").exists()
    for states in (("begin", "intent"), ("done",)) if done else (("begin",), ("intent",)):
        gone = [remove(layout.journal / f"{operation}.{state}.json") for state in states]
        if any(gone):
            fsync_dir(layout.journal)


def _where(layout: Layout) -> str:
    return f"the journal {layout.journal} and the snapshots in {layout.backups} are untouched"


def _keep_owner(target: Path, staged: Path) -> None:
    """Root restores a user's file as the user's. Only root can; preflight refused anybody else."""
    try:
        facts = target.stat()
    except FileNotFoundError:
        facts = target.parent.stat()
    if (facts.st_uid, facts.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.chown(staged, facts.st_uid, facts.st_gid)


def mode_of(path: Path, default: int = 0o644) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return default
