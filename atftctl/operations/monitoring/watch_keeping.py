"""One watcher at a time, its state on the disk, and its heartbeat."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from atftctl.domain.errors import Busy
from atftctl.domain.result import Reporter
from atftctl.domain.watching import Look
from atftctl.host import locks
from atftctl.host.errors import HostError, LockHeldError, reason, reason_and_place
from atftctl.host.files.folders import make_dirs
from atftctl.operations.monitoring.watch_state import Watched
from atftctl.operations.project import Project
from atftctl.operations.report.watcher import watched_by
from atftctl.protocol.messages import Message, tr
from atftctl.state import watch as watch_state
from atftctl.state.layout import Layout

SAVE_S = 5.0  # between two writes of the state; at once where an alarm began


@contextmanager
def only_watcher(layout: Layout, report: Reporter, command: str = "watch") -> Iterator[bool]:
    """Be the one watcher of the project during the block. command: how it was called, for `status`. Yields False where
    nobody can tell, since the lock can't be written: such a watcher must not act. Raises Busy, with who watches, where
    somebody does."""
    try:
        make_dirs(layout.state, 0o700)
        held = locks.exclusive(layout.watch_lock, command=command, reason="")
        held.__enter__()
    except LockHeldError as error:
        raise Busy(
            watched_by(error.holder),
            hint=tr("one look beside it: atftctl watch --once; to end it: kill {pid}", pid=error.holder["pid"])
            if "pid" in error.holder
            else "atftctl watch --once",
        ) from None
    except (OSError, HostError) as error:
        report.note(tr("the lock of the watcher can't be taken: {reason}", reason=reason_and_place(error)))
        yield False
        return
    try:
        yield True
    finally:
        held.__exit__(None, None, None)


def read_state(layout: Layout) -> tuple[Watched | None, Message | None]:
    """(what an earlier watcher has kept, why it can't be used): a damaged state is begun anew."""
    try:
        body = watch_state.read(layout)
        return (Watched.from_json(body) if body is not None else None), None
    except (OSError, HostError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        text = tr(
            "the watcher's state can't be read: {reason}; this run is read again from its start", reason=reason(error)
        )
        return None, text


class Keeper:
    """Writes the state and the heartbeat. What can't be written is said once, and tried again."""

    def __init__(self, project: Project, every: float = 0.0) -> None:
        """every: seconds between two looks; 0 for one look alone."""
        self._every = every
        self._layout = project.layout
        self._heart = watch_state.Heart(project.layout)
        self._kept: Watched | None = None
        self._saved = -SAVE_S
        self._problem = ""

    def keep(self, state: Watched | None, look: Look, *, now: bool = False) -> Message | None:
        """Write the heartbeat where the watcher sees, and the state where it is time or an alarm began; what to say
        about it. now: it is time."""
        problem = ""
        try:
            if look.sees:
                self._heart.beat(look.now, look.step, look.generation, self._every)
            if state is not None and (now or look.findings or time.monotonic() - self._saved >= SAVE_S):
                self._save(state)
        except (OSError, HostError) as error:
            problem = reason(error)
        if bool(problem) == bool(self._problem):
            return None
        self._problem = problem
        if not problem:
            return tr("the watcher's state can be written again")
        return tr("the watcher's state can't be written: {reason}; it goes on watching", reason=problem)

    def close(self, state: Watched | None) -> None:
        """Write the state a last time, as far as that is possible."""
        self._heart.close()
        if state is not None and not self._problem:
            with suppress(OSError, HostError):
                self._save(state)

    def _save(self, state: Watched) -> None:
        self._saved = time.monotonic()
        if self._kept is None or _differs(self._kept, state):
            watch_state.write(self._layout, state.to_json())
            self._kept = state


def _differs(kept: Watched, state: Watched) -> bool:
    """Was anything read since?"""
    return (kept.run_id, kept.generation, kept.rows.place, kept.rows.old, kept.events.place, kept.events.old) != (
        state.run_id, state.generation, state.rows.place, state.rows.old, state.events.place, state.events.old,
    )  # fmt: skip
