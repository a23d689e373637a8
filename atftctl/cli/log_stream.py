"""Show lines as they come, as `tail -f` does."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

from atftctl.cli.render.console import emit_json, say
from atftctl.cli.render.layout import display_width
from atftctl.cli.render.logs import log_line
from atftctl.cli.session import Session
from atftctl.domain.result import Result
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr

if TYPE_CHECKING:
    from atftctl.operations.report.log_data import LogLine


def stream(session: Session, shown: Generator[LogLine | Message | None, None, None]) -> Result:
    """Show lines until the operator interrupts (exit code 130, as for `tail -f`), or nobody reads any more (0). With
    --json, each line is one object, and no envelope follows."""
    code, files = Exit.DONE, dict[str, int]()
    try:
        for item in shown:
            session.close()  # removes the line of progress
            if item is None:
                sys.stdout.flush()
                if nobody_reads():
                    break
            elif isinstance(item, Message):
                say(item, "quiet", hang=2, stream=sys.stderr)
                sys.stderr.flush()
            else:
                _show(item, files, as_json=session.json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's last flush does not complain
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    finally:
        shown.close()
    session.json, session.render = False, _nothing
    return Result("logs", code, tr("interrupted") if code else tr("nobody reads the output any more"))


def _show(line: LogLine, files: dict[str, int], *, as_json: bool) -> None:
    """files: the logs that were shown so far, and the width of each name: it stands before the lines once there are
    several."""
    if as_json:
        emit_json(line)
        return
    files.setdefault(line.file, display_width(line.file.rpartition("/")[2]))
    log_line(line, max(files.values()) if len(files) > 1 else 0)


def nobody_reads() -> bool:
    """Was the other end of standard output closed? Without a line to write nothing else would tell."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return False


def _nothing(result: Result) -> None:
    """Everything was shown already."""
    del result
