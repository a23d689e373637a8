"""The commit protocol: several files change all at once or not at all, whatever dies in the middle.

INTENT, BEGIN, COMMIT, ABORT and DONE are sealed records. COMMIT is the one decision point: before it everything is
rolled back, from it on everything is rolled forward. Where that is impossible for good, ABORT is the decision to go
back. What counts is DONE before ABORT before COMMIT before BEGIN. Every record is durable before it is acted on.
Rolling either way can itself die and be done again: each move is judged by the hash of what stands there.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from atftctl.apply.moves import Content, Move, is_old, roll_forward, stage, staged_path, unstage, untouched
from atftctl.domain.errors import InterventionNeeded, Restored
from atftctl.host import footprint
from atftctl.host.copying.parallel import all_of
from atftctl.host.errors import reason
from atftctl.host.files.durable import remove, rename
from atftctl.host.files.fingerprint import digest_of, is_link, sha256_file
from atftctl.host.files.folders import fsync_dir
from atftctl.host.files.reading import size_of
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

# A rename that fails so fails again: mounted over, immutable, read-only, a folder in its place.
FOR_GOOD = (errno.EBUSY, errno.EPERM, errno.EACCES, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY,
            errno.EXDEV, errno.ELOOP)  # fmt: skip


class Transaction:
    """One operation's way through the protocol. Held under the lock throughout."""

    def __init__(self, layout: Layout, operation: str, moves: Sequence[Move] = ()) -> None:
        self.operation = operation
        self._layout = layout
        self._moves: tuple[Move, ...] = tuple(moves)

    def intend(self, body: Mapping[str, Any]) -> None:
        """Say what is about to happen, before the first thing does."""
        sealed_records.write(self._layout.journal, self.operation, "intent", body)

    def begin(self, moves: Sequence[Move]) -> None:
        self._moves = tuple(moves)
        sealed_records.write(
            self._layout.journal, self.operation, "begin", {"moves": [asdict(move) for move in self._moves]}
        )

    def stage(self, contents: Mapping[str, Content]) -> None:
        """Write each new file beside its target. Raises Restored where a copy is not what it should be."""

        def written(move: Move, content: Content) -> None:
            if stage(self._layout, move, content) != move.new:
                raise Restored(f"the copy for {move.path} is damaged: its hash is not the one that was promised")

        coming = [(move, contents.get(move.path, b"")) for move in self._moves if move.new is not None]
        all_of(
            (len(content) if isinstance(content, bytes) else size_of(content), partial(written, move, content))
            for move, content in coming
        )
        for folder in {staged_path(self._layout, move).parent for move in self._moves if move.new is not None}:
            fsync_dir(folder)

    def decide(self) -> None:
        """The one decision point: what stands must still be what the plan was based on."""
        for move in self._moves:
            target = self._layout.place(move.path)
            if not (move.folder is not None and target.is_dir()) and digest_of(target) != move.old:
                raise Restored(f"{move.path} was changed by somebody else in this moment")
        self._record("commit", "no file has changed yet; the staged files stay beside their targets")
        footprint.leave(f"operation {self.operation} was decided, and its files change")

    def _record(self, state: str, stands: str, **more: Any) -> None:
        """COMMIT or ABORT. One that failed half-way may be visible and yet not durable: it must be gone before anything
        else is done. Raises OSError; InterventionNeeded where it can't be known to be gone."""
        path = self._layout.journal / f"{self.operation}.{state}.json"
        try:
            body = {"moves": [asdict(move) for move in self._moves], **more}
            sealed_records.write(self._layout.journal, self.operation, state, body)
        except OSError as error:
            try:
                if remove(path):
                    fsync_dir(path.parent)
            except OSError:
                raise InterventionNeeded(
                    f"whether {self.operation} is decided ({state}) is not known: {error}",
                    state=stands,
                    hint="mend the disk, then: atftctl recover",
                ) from None
            raise

    def replace(self) -> None:
        roll_forward(self._layout, self._moves)

    def decide_to_go_back(self, snapshot: str) -> None:
        """ABORT, once it is certain that all old files can come back: from the copies of this snapshot, by their hash.
        Raises InterventionNeeded where they can't, and where ABORT can't be written; nothing has changed then."""
        copies = self._layout.snapshot(snapshot) if snapshot else None
        for move in self._moves:
            if not move.old or is_link(move.old) or is_old(self._layout, move):
                continue
            if copies is None or sha256_file(copies / move.path) != move.old:
                raise InterventionNeeded(
                    f"{move.path} can't go back: its copy in snapshot {snapshot or '?'} is damaged or gone",
                    state=untouched(self._layout),
                    hint="remove the cause, then: atftctl recover",
                )
        try:
            self._record("abort", "some files are the new ones", snapshot=snapshot)
        except OSError as error:
            raise InterventionNeeded(
                f"the decision to go back can't be written: {reason(error)}",
                state=f"some files are the new ones; {untouched(self._layout)}",
                hint="remove the cause, then: atftctl recover",
            ) from None

    def go_back(self, snapshot: str) -> None:
        """After ABORT: every file as it was; those that are so already are left alone. May die, and be done again.
        Raises InterventionNeeded, OSError, HostError."""
        copies = self._layout.snapshot(snapshot)
        back = [move.back() for move in self._moves if not is_old(self._layout, move)]
        for move in back:
            staged = staged_path(self._layout, move)
            if move.new is not None:
                remove(staged)  # a crash may have left it without its mode or its owner
                if stage(self._layout, move, copies / move.path) != move.new:
                    raise InterventionNeeded(
                        f"the copy of {move.path} in snapshot {snapshot} is damaged",
                        state=untouched(self._layout),
                        hint="atftctl backup verify --all shows whole copies; then: atftctl recover",
                    )
        roll_forward(self._layout, back)
        unstage(self._layout, [*self._moves, *(move.back() for move in self._moves)])

    def close(self) -> None:
        """After the history line: COMMIT becomes DONE, then everything else goes."""
        journal = self._layout.journal
        try:
            rename(journal / f"{self.operation}.commit.json", journal / f"{self.operation}.done.json")
        except FileNotFoundError:
            pass
        else:
            fsync_dir(journal)
        sweep(self._layout, self.operation)

    def unwind(self) -> None:
        """Before COMMIT: take the staged files away. The targets were never touched."""
        unstage(self._layout, self._moves)


def sweep(layout: Layout, operation: str) -> None:
    """Take an ended operation's records away: whatever is left after a crash in between must still tell its end.

    DONE goes after all others are gone for sure; without it BEGIN goes, for sure, before the INTENT that explains it.
    """
    done = (layout.journal / f"{operation}.done.json").exists()
    for states in (("begin", "intent", "abort"), ("done",)) if done else (("begin",), ("intent",)):
        gone = [remove(layout.journal / f"{operation}.{state}.json") for state in states]
        if any(gone):
            fsync_dir(layout.journal)
