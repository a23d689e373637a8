"""Where to begin to read a log: at a time, which is searched for in its files by bisection, or at a byte offset that
was recorded when the trainer was started."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.record import record
from atftctl.observe.log_files.parts import LogFiles, Part
from atftctl.observe.log_files.probe import line_start, probe, time_before

SLACK_S = 60.0  # that the clock of a file server may differ from ours
EARLY_S, LATE_S = 5.0, 1.0  # that a line after the start may be earlier than it, and one before it later
UNPACKED = 12  # times as large, about, is a packed log when it is unpacked


@record
class Span:
    """What to read of one file: from the byte offset `start` on. `since`: leave out errors with an earlier time.
    `undated`: a time was searched for and not found: no line has one, or the last one is older than the file, because
    the clock or the time zone of its writer is another one."""

    part: Part
    start: int = 0
    since: float | None = None
    undated: bool = False

    @property
    def size(self) -> int:
        """About how many bytes will be read."""
        return self.part.size * UNPACKED if self.part.packed else self.part.size - self.start


@record
class Mark:
    """A position in a log that was recorded: the byte offset in the file that had this inode."""

    offset: int
    inode: int


def everything(log: LogFiles) -> list[Span]:
    """All files of a log from their beginning."""
    return [Span(part) for part in log.parts]


def from_time(log: LogFiles, at: float) -> list[Span]:
    """The part of a log that is at or after a time, the oldest first. A file in which no line has a time is read
    whole."""
    spans: list[Span] = []
    for part in reversed(log.parts):
        if part.written < at - SLACK_S:
            break
        span = _packed_from(part, at) if part.packed else _plain_from(part, at)
        spans.append(span)
        if span.start > 0 or span.since is not None:
            break
    return spans[::-1]


def _packed_from(part: Part, at: float) -> Span:
    first = probe(part, 0)
    return Span(part, since=at if first.line and first.line.time < at else None)


def _plain_from(part: Part, at: float) -> Span:
    start = bisect(part, at)
    if start == part.size > 0 and part.written > at + SLACK_S:
        start = None  # it was written after `at`, and its times say that it was not
    return Span(part, start or 0, undated=start is None and part.size > 0)


def from_mark(log: LogFiles, mark: Mark, at: float) -> list[Span]:
    """The part of a log since the trainer was started at the time `at`, when the log had the size and the inode of the
    mark. Where that does not fit the times in the log, the times decide."""
    plain = [index for index, part in enumerate(log.parts) if not part.packed]
    index = next((number for number in plain if log.parts[number].inode == mark.inode), None)
    if mark.inode == 0 and plain and log.parts[-1].size >= mark.offset:
        index = plain[-1]  # recorded by a version that did not know the inode
    if index is not None and log.parts[index].size >= mark.offset and _fits(log.parts[index], mark.offset, at):
        newer = [Span(part) for part in log.parts[index + 1 :]]
        return [Span(log.parts[index], mark.offset), *newer]
    return from_time(log, at)


def newest(spans: Sequence[Span], limit: int) -> list[Span]:
    """At most about `limit` bytes of these spans, the newest ones. A packed file is read whole or not at all."""
    kept: list[Span] = []
    for span in reversed(spans):
        if limit <= 0:
            break
        if span.size <= limit or (span.part.packed and not kept):
            kept.append(span)
        elif not span.part.packed:
            start = line_start(span.part, span.part.size - limit)
            kept.append(Span(span.part, start, span.since, span.undated))
        limit -= span.size
    return kept[::-1]


def bisect(part: Part, at: float) -> int | None:
    """The byte offset of the first line with a time at or after `at`; the size of the file where there is none. None
    where no line has a time. A long stretch without times counts as later: rather too much is read than too little."""
    low, high, dated = 0, part.size, False
    while low < high:
        middle = (low + high) // 2
        found = probe(part, middle)
        dated = dated or found.line is not None
        if found.line is None or found.line.time >= at:
            high = middle
        else:
            low = found.line.end
    if not dated:
        return None
    found = probe(part, low)
    if found.line is not None:
        return found.line.begin
    return part.size if found.whole else low


def _fits(part: Part, offset: int, at: float) -> bool:
    """Can the log have had this size at that time? No line before it may be later, and no line after it earlier."""
    after, before = probe(part, offset).line, time_before(part, offset)
    return (after is None or after.time >= at - EARLY_S) and (before is None or before <= at + LATE_S)
