"""Show what a watcher says: on a terminal as a live screen, else as lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from atftctl.cli.log_stream import nobody_reads
from atftctl.cli.render.console import emit_json
from atftctl.cli.session import Session
from atftctl.domain.result import Result
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.operations.monitoring.watch import Seen
    from atftctl.operations.project import Project


def stream(session: Session, project: Project, looks: Generator[Seen, None, None], *, plain: bool) -> Result:
    """Show the looks until the operator interrupts, or nobody reads any more. The result has the code of the last
    verdict."""
    from atftctl.operations.monitoring.watch_lines import exit_code, verdict_of

    code = Exit.INCONCLUSIVE
    try:
        for seen in _shown(session, project, looks, plain=plain):
            code = exit_code(verdict_of(seen.look))
    except BrokenPipeError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's last flush does not complain
    except KeyboardInterrupt:
        pass  # the usual end
    finally:
        looks.close()
    session.json, session.render = False, _nothing
    return Result("watch", code, tr("interrupted"))


def _shown(session: Session, project: Project, looks: Generator[Seen, None, None], *, plain: bool) -> Iterator[Seen]:
    """Show each look, and pass it on."""
    del project, plain
    yield from _as_lines(session, looks)


def _as_lines(session: Session, looks: Generator[Seen, None, None]) -> Iterator[Seen]:
    from atftctl.cli.render.watch import line

    for seen in looks:
        session.close()  # removes the line of progress
        for said in seen.lines:
            if session.json:
                emit_json(said)
            else:
                line(said)
        if seen.lines:
            sys.stdout.flush()
        yield seen
        if nobody_reads():
            return


def _nothing(result: Result) -> None:
    """Everything was shown already."""
    del result
