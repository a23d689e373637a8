"""What `logs` returns."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.domain.record import record
from atftctl.domain.result import Data


@record
class LogLine(Data):
    """One line of a log.

    file: the log that it is in. time: its own time, or that of the last line before it that has one. text: the line,
    without colours, at most 8,192 characters of it. error: whether a kind of error matches it. repeated: how often it
    comes in a row.
    """

    file: str
    time: str | None
    text: str
    error: bool = False
    repeated: int = 1


@record
class LogFile(Data):
    """What was read of one log.

    file: its path. size: bytes that it has in the time asked for. read: how many of them were read, or null where that
    is not counted. parts: the names of its files, the oldest first. problem: why it could not be read, or not whole.
    """

    file: str
    size: int
    read: int | None
    parts: tuple[str, ...]
    problem: str = ""


@record
class LogsData(Data):
    """Data of `logs`.

    since: from when on. entries: the newest lines, oldest first. files: what was read.
    """

    since: str | None
    entries: tuple[LogLine, ...]
    files: tuple[LogFile, ...]


@record
class ErrorKind(Data):
    """How often one kind of error occurred with one severity.

    name: its name in the runbook. severity: `fatal`, `error` or `warning`; a line that calls itself a warning, or less,
    counts as a warning. count: how often. first: when it came first. last: when it came last. over_time: how often in
    each bin of the histogram.
    """

    name: str
    severity: str
    count: int
    first: str | None
    last: str | None
    over_time: tuple[int, ...]


@record
class ErrorMessage(Data):
    """One message of an error, however its numbers were.

    kind: its kind. message: as it was the first time. count: how often it came. first: when it came first. last: when
    it came last.
    """

    kind: str
    message: str
    count: int
    first: str | None
    last: str | None


@record
class FirstError(Data):
    """The first error in the time asked for.

    kind: its kind. severity: of this one. file: the log. time: when. message: its line without the time; for a
    traceback, the exception that came first. before: the lines before it. lines: all lines of it. after: the lines
    after it. left_out: lines in the middle of `lines` that are left out.
    """

    kind: str
    severity: str
    file: str
    time: str | None
    message: str
    before: tuple[str, ...]
    lines: tuple[str, ...]
    after: tuple[str, ...]
    left_out: int


@record
class LogErrorsData(Data):
    """Data of `logs --errors`.

    since: from when on. count: errors, without warnings. warnings: how many. kinds: by kind and severity, in the order
    of the runbook. first: the first error. messages: the most frequent ones first. other_messages: errors whose
    messages are not listed. begin: of the histogram. bin_seconds: width of its bins. undated: errors whose time is not
    known. duplicates: errors that two logs hold, counted once. files: what was read. patterns: by kind, what is wrong
    with its pattern.
    """

    since: str | None
    count: int
    warnings: int
    kinds: tuple[ErrorKind, ...]
    first: FirstError | None
    messages: tuple[ErrorMessage, ...]
    other_messages: int
    begin: str | None
    bin_seconds: int
    undated: int
    duplicates: int
    files: tuple[LogFile, ...]
    patterns: Mapping[str, str]
