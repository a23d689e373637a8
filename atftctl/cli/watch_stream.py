"""Show what a watcher says: on a terminal as a live screen, else as lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from atftctl.cli.log_stream import nobody_reads
from atftctl.cli.render.console import emit_json, has_colours, say
from atftctl.cli.session import Session
from atftctl.domain.result import Result
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.domain.result import Reporter
    from atftctl.operations.monitoring.watch import Seen
    from atftctl.operations.monitoring.watch_lines import WatchLine
    from atftctl.operations.project import Project

    Looks = Callable[[Reporter], Generator[Seen, None, None]]


def stream(session: Session, project: Project, looks: Looks, *, plain: bool) -> Result:
    """Show the looks until the operator interrupts, or nobody reads any more. The result has the code of the last
    verdict. looks: makes them, with what shows the progress of a rollback."""
    from atftctl.operations.monitoring.watch_lines import exit_code, verdict_of

    code, as_lines = Exit.INCONCLUSIVE, session.json or plain or not has_colours(sys.stdout)
    try:
        for seen in _as_lines(session, looks) if as_lines else _on_screen(project, looks):
            code = exit_code(verdict_of(seen.look))
    except BrokenPipeError:
        pass  # nobody reads any more
    except KeyboardInterrupt:  # the usual end
        _say_what_is_open(session, project)
    _give_up_output()
    session.json, session.render = False, _nothing
    return Result("watch", code, tr("interrupted"))


def _say_what_is_open(session: Session, project: Project) -> None:
    """The operator may have interrupted a rollback of the watcher, or its recovery."""
    from atftctl.operations.monitoring.carrying import left_open

    if operation := left_open(project.layout):
        session.close()  # removes the line of progress
        say(tr("{operation}; to do that now: atftctl recover", operation=operation), hang=2, stream=sys.stderr)


def _give_up_output() -> None:
    """What could not be written is dropped, so that Python's last flush does not complain."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _on_screen(project: Project, looks: Looks) -> Iterator[Seen]:
    """Pass each look on, and show it on the live screen. What was said last stays on the terminal."""
    from atftctl.cli.live_screen import LiveScreen
    from atftctl.cli.render.watch import line

    last: WatchLine | None = None
    try:
        with LiveScreen(project) as screen, closing(looks(screen)) as seen_looks:
            for seen in seen_looks:
                yield seen  # first, so that the exit code is that of what was shown last, whenever Ctrl-C comes
                last = next((said for said in reversed(seen.lines) if said.kind in ("verdict", "blind")), last)
                screen.show(seen)
    finally:
        if last is not None:
            line(last)


def _as_lines(session: Session, looks: Looks) -> Iterator[Seen]:
    """Pass each look on, and write its lines. Ends where nobody reads them any more."""
    with closing(looks(session.reporter)) as seen_looks:
        for seen in seen_looks:
            yield seen
            session.close()  # removes the line of progress
            if not _write(seen.lines, as_json=session.json) or nobody_reads():
                return


def _write(lines: Sequence[WatchLine], *, as_json: bool) -> bool:
    """Write these lines; False where nobody reads them. On a full disk some are lost, and the watcher goes on: it may
    have to act."""
    from atftctl.cli.render.watch import line

    try:
        for said in lines:
            if as_json:
                emit_json(said)
            else:
                line(said)
        if lines:
            sys.stdout.flush()
    except BrokenPipeError:
        return False
    except OSError:
        pass
    return True


def _nothing(result: Result) -> None:
    """Everything was shown already."""
    del result
