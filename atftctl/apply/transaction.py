"""The commit protocol: several files change all at once or not at all, whatever dies in the middle.

INTENT, BEGIN, COMMIT, ABORT and DONE are sealed records, each durable before it is acted on. COMMIT is the decision:
before it everything is rolled back, after it everything is rolled forward. If that is impossible, ABORT is the decision
to go back. If several records exist, DONE counts before ABORT, ABORT before COMMIT, COMMIT before BEGIN.
Rolling forward or back can be interrupted and repeated: each move is judged by the hash of the file on disk.
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
from atftctl.host.copying.parallel import run_jobs
from atftctl.host.errors import reason
from atftctl.host.files.durable import remove, rename
from atftctl.host.files.fingerprint import digest_of, is_link, sha256_file
from atftctl.host.files.folders import fsync_dir
from atftctl.host.files.reading import size_of
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

# A rename that fails for these reasons will fail again: a mount point, an immutable or read-only file, a folder.
FOR_GOOD = (errno.EBUSY, errno.EPERM, errno.EACCES, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY,
            errno.EXDEV, errno.ELOOP)  # fmt: skip


class Transaction:
    """One operation's records and moves. Used under the project lock."""

    def __init__(self, layout: Layout, operation: str, moves: Sequence[Move] = ()) -> None:
        self.operation = operation
        self._layout = layout
        self._moves: tuple[Move, ...] = tuple(moves)

    def intend(self, body: Mapping[str, Any]) -> None:
        """Write INTENT: what is about to happen, before anything does. Raises OSError."""
        sealed_records.write(self._layout.journal, self.operation, "intent", body)

    def begin(self, moves: Sequence[Move]) -> None:
        """Write BEGIN: which files will change. Raises OSError."""
        self._moves = tuple(moves)
        body = {"moves": [asdict(move) for move in self._moves]}
        sealed_records.write(self._layout.journal, self.operation, "begin", body)

    def stage(self, contents: Mapping[str, Content]) -> None:
        """Write each new file beside its target. Raises Restored where a copy has the wrong hash; OSError."""

        def write(move: Move, content: Content) -> None:
            if stage(self._layout, move, content) != move.new:
                raise Restored(
                    tr("the new content of {path} is damaged: its hash differs from the plan's", path=move.path)
                )

        new_files = [(move, contents.get(move.path, b"")) for move in self._moves if move.new is not None]
        run_jobs(
            (len(content) if isinstance(content, bytes) else size_of(content), partial(write, move, content))
            for move, content in new_files
        )
        for folder in {staged_path(self._layout, move).parent for move in self._moves if move.new is not None}:
            fsync_dir(folder)

    def decide(self) -> None:
        """Write COMMIT, the decision, once every target is still what the plan was based on.

        Raises Restored where a target has changed; OSError; InterventionNeeded where COMMIT may have been written.
        """
        for move in self._moves:
            target = self._layout.place(move.path)
            if not (move.folder is not None and target.is_dir()) and digest_of(target) != move.old:
                raise Restored(tr("{path} was just changed by another program", path=move.path))
        self._record("commit", tr("no file has changed yet; the staged files stay beside their targets"))
        footprint.leave(self._under_way)

    @property
    def _under_way(self) -> Message:
        return tr("operation {operation} was decided, and its files are being changed", operation=self.operation)

    def _record(self, record: str, state: str, **more: Any) -> None:
        """Write COMMIT or ABORT. `state`: what is true if it can't be known whether the record was written.

        A record that failed half-way may be visible without being durable, so it is removed before anything else is
        done. Raises OSError; InterventionNeeded where it can't be removed.
        """
        path = self._layout.journal / f"{self.operation}.{record}.json"
        try:
            body = {"moves": [asdict(move) for move in self._moves], **more}
            sealed_records.write(self._layout.journal, self.operation, record, body)
        except OSError as error:
            try:
                if remove(path):
                    fsync_dir(path.parent)
            except OSError:
                raise InterventionNeeded(
                    tr(
                        "it is not known whether {operation} was decided ({record}): {reason}",
                        operation=self.operation,
                        record=record,
                        reason=reason(error),
                    ),
                    state=state,
                    hint=tr("repair the disk, then run: atftctl recover"),
                ) from None
            raise

    def replace(self) -> None:
        """Put the new files in place, after COMMIT. Raises InterventionNeeded, OSError."""
        roll_forward(self._layout, self._moves)
        done = tr("operation {operation} changed its files", operation=self.operation)
        footprint.instead(self._under_way, done)

    def decide_to_go_back(self, snapshot: str) -> None:
        """Write ABORT, once the hashes show that all old files can be restored from this snapshot.

        Raises InterventionNeeded where they can't, or where ABORT can't be written; nothing has changed by then.
        """
        copies = self._layout.snapshot(snapshot) if snapshot else None
        for move in self._moves:
            if not move.old or is_link(move.old) or is_old(self._layout, move):
                continue
            if copies is None or sha256_file(copies / move.path) != move.old:
                raise InterventionNeeded(
                    tr(
                        "{path} can't be restored: its copy in snapshot {snapshot} is damaged or missing",
                        path=move.path,
                        snapshot=snapshot or "?",
                    ),
                    state=untouched(self._layout),
                    hint=tr("remove the cause, then run: atftctl recover"),
                )
        try:
            self._record("abort", tr("some files are the new ones"), snapshot=snapshot)
        except OSError as error:
            raise InterventionNeeded(
                tr("the decision to restore the old files can't be written: {reason}", reason=reason(error)),
                state=joined("; ", [tr("some files are the new ones"), untouched(self._layout)]),
                hint=tr("remove the cause, then run: atftctl recover"),
            ) from None

    def go_back(self, snapshot: str) -> None:
        """Restore every old file, after ABORT. Files that are the old ones already are left alone; can be repeated.

        Raises InterventionNeeded where a copy is damaged; OSError, HostError.
        """
        copies = self._layout.snapshot(snapshot)
        back = [move.back() for move in self._moves if not is_old(self._layout, move)]
        for move in back:
            staged = staged_path(self._layout, move)
            if move.new is not None:
                remove(staged)  # a crash may have left it without its mode or its owner
                if stage(self._layout, move, copies / move.path) != move.new:
                    raise InterventionNeeded(
                        tr("the copy of {path} in snapshot {snapshot} is damaged", path=move.path, snapshot=snapshot),
                        state=untouched(self._layout),
                        hint=tr(
                            "look for undamaged copies with atftctl backup verify --all, then run: atftctl recover"
                        ),
                    )
        roll_forward(self._layout, back)
        unstage(self._layout, [*self._moves, *(move.back() for move in self._moves)])
        ended = tr("operation {operation} was put back: all files are the old ones", operation=self.operation)
        footprint.instead(self._under_way, ended)

    def close(self) -> None:
        """After the history line: rename COMMIT to DONE, then remove all records. Raises OSError."""
        journal = self._layout.journal
        try:
            rename(journal / f"{self.operation}.commit.json", journal / f"{self.operation}.done.json")
        except FileNotFoundError:
            pass
        else:
            fsync_dir(journal)
        remove_records(self._layout, self.operation)

    def unwind(self) -> None:
        """Before COMMIT: remove the staged files. The targets were never changed. Raises OSError."""
        unstage(self._layout, self._moves)


def remove_records(layout: Layout, operation: str) -> None:
    """Remove the records of an ended operation, in an order that keeps its end readable after a crash in between.

    DONE is removed once the removal of all others is durable; without DONE, BEGIN goes before the INTENT that explains
    it. Raises OSError.
    """
    done = (layout.journal / f"{operation}.done.json").exists()
    for states in (("begin", "intent", "abort"), ("done",)) if done else (("begin",), ("intent",)):
        removed = [remove(layout.journal / f"{operation}.{state}.json") for state in states]
        if any(removed):
            fsync_dir(layout.journal)
