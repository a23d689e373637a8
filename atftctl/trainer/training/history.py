"""The history of checkpoints: the newest ones, and ever wider gaps behind them, in `models/history`.

Each is a hard link to the checkpoint that was just saved, so it costs no time, and no room until that one is replaced.
Whatever goes wrong here, training goes on: the checkpoint itself is saved by then.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atftctl import protocol
from atftctl.protocol import checkpoints
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.telemetry.recorder import Recorder

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)  # with which a file system refuses a hard link


@dataclass(frozen=True)
class Rung:
    """One checkpoint of the history: the step after which it was saved, and the generation of the trainer."""

    step: int
    generation: int
    path: Path


class History:
    """Keeps the history of one run folder, in the main process. `origin`: the step that this run resumed from."""

    def __init__(self, root: Path, generation: Generation, recorder: Recorder) -> None:
        self._root, self._generation, self._recorder = root, generation, recorder
        self._folder = root / checkpoints.HISTORY
        self._reported = ""
        self.origin = 0

    def add(self, step: int, most: int, *, last: bool = False) -> None:
        """Keep the checkpoint that was just saved, and at most `most` in all; 0 keeps none and removes none.

        `last`: the run ends with this save. Nothing is removed then, so that what an operator has chosen meanwhile is
        still there after the stop. Raises FencedError where a newer trainer was started.
        """
        if not most or not self._recorder.is_main:
            return
        try:
            target = self._folder / checkpoints.history_name(step, self._generation.number)
            self._keep(target)
            if not last:
                for rung in surplus(self._removable(), Rung(step, self._generation.number, target), self.origin, most):
                    rung.path.unlink(missing_ok=True)
            _fsync(self._folder)
        except OSError as error:
            self._report(error)
        else:
            self._reported = ""

    def _keep(self, target: Path) -> None:
        """Put a hard link to the last checkpoint, or a copy where there can be none, in place of `target`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        staged = self._generation.stage(target)
        try:
            _link_or_copy(self._root / protocol.LAST, staged)
            self._generation.publish(staged, target)
        finally:
            staged.unlink(missing_ok=True)  # after a failure; and a rename onto the same inode does nothing

    def _removable(self) -> list[Rung]:
        """The checkpoints that may be removed: while a change waits for its confirmation only those of this run, since
        the undo goes back to the run before it, and to its checkpoints."""
        waits = os.access(self._root / protocol.PENDING, os.F_OK)
        return [rung for rung in self._rungs() if not waits or rung.generation == self._generation.number]

    def _rungs(self) -> list[Rung]:
        """The checkpoints in the folder. Whatever else lies there is left alone."""
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        known = [(checkpoints.parse_history_name(name), name) for name in names]
        return [Rung(*place, self._folder / name) for place, name in known if place]

    def _report(self, error: OSError) -> None:
        """Warn of what went wrong, once as long as it is the same: a full disk may stay full for hours."""
        message = f"the history of checkpoints was not kept: {error.strerror or error}"
        if message != self._reported:
            self._reported = message
            self._recorder.warn(message)


def surplus(rungs: Sequence[Rung], newest: Rung, origin: int, most: int) -> list[Rung]:
    """Return the rungs that go, so that `most` are left.

    Those that the present run does not descend from go first, the oldest of them before the others. Of the run itself
    the newest two stay. Of the others, the one goes that leaves the smallest gap, relative to how long ago it was: so
    the gaps grow with the distance, and reach back as far as the run does.
    """
    dead = [rung for rung in rungs if not _is_ancestor(rung, newest, origin)]
    living = sorted((rung for rung in rungs if rung not in dead), key=lambda rung: (rung.step, rung.generation))
    gone = sorted(dead, key=lambda rung: (rung.generation, rung.step))[: max(0, len(rungs) - most)]
    while len(living) > most:
        gone.append(living.pop(_least_missed(living, newest.step)))
    return gone


def _is_ancestor(rung: Rung, newest: Rung, origin: int) -> bool:
    """Does the run that has just saved `newest` descend from this checkpoint?"""
    return rung.step <= (newest.step if rung.generation == newest.generation else min(origin, newest.step))


def _least_missed(living: Sequence[Rung], now: int) -> int:
    """The index of the rung whose absence leaves the smallest relative gap. `living`: the oldest first; step 0 counts
    as a rung that is always there."""
    if len(living) < 3:
        return 0
    steps = [0, *(rung.step for rung in living)]
    return min(range(len(living) - 2), key=lambda at: (now - steps[at]) / max(now - steps[at + 2], 1))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
