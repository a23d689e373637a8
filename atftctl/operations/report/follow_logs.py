"""`logs --follow`: the lines of the trainer's logs as they are written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from atftctl.domain.log_lines.entries import Grouper
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.merge import LogText
from atftctl.domain.log_lines.text import Line
from atftctl.domain.log_lines.times import split_time
from atftctl.domain.result import Reporter
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.observe.log_files.follow import Follower, follow
from atftctl.operations.project import Project, now
from atftctl.operations.report.log_data import LogLine
from atftctl.operations.report.log_query import LogQuery, Scope, scope_of
from atftctl.operations.report.logs import line_data, pattern_notes, read_newest
from atftctl.protocol.messages import Message, tr

PROGRESS_S = 10.0  # of lines that are written over, as progress bars write them, one is shown in so many seconds
REMEMBERED = 2000  # lines of other logs, among which the same line is looked for

Shown = LogLine | Message | None  # a line; what happened to a log; None: nothing was added


class _Filter:
    """Which of the lines that are added are shown: those that match, where something is searched for. whole: with the
    whole tracebacks."""

    def __init__(self, scope: Scope, *, whole: bool) -> None:
        self.matcher = Matcher(scope.search or scope.rules.kinds)
        self._all, self._whole = not scope.search, whole
        self._groupers = {name: Grouper(self.matcher.kind_here) for name in scope.rules.files}
        self._known: dict[tuple[int, str], list[str]] = {}  # the logs that have a line and whose equal has not come
        self._order: deque[tuple[int, str]] = deque()
        self._times: dict[str, float] = {}  # of the last line of each log that has one
        self._progress: dict[str, float] = {}  # by log, when a line that is written over was shown
        self._dropping: set[str] = set()  # logs whose last line with a time was known

    def begin(self, lines: Sequence[Line]) -> None:
        """The next lines are these."""
        text = "\n".join(line.text for line in lines)
        self.matcher.searched += len(text)
        self.matcher.narrow(text)

    def line(self, file: str, line: Line, written: float) -> LogLine | None:
        """The line as it is shown; None where it is not."""
        kind = self.matcher.kind_here(line.text)
        if kind is None and line.overwritten and not self._is_due(file):
            return None
        own, rest = split_time(line.text, written)
        if own is not None:
            self._times[file] = own
        at = self._times.get(file)
        if at is not None and self._is_known(file, int(at), rest, dated=own is not None):
            return None
        grouper = self._groupers[file]
        grouper.feed(line.text)
        if not (self._all or kind is not None or (self._whole and grouper.busy)):
            return None
        return line_data(LogText(file, line.text, at, rest, own is not None, kind is not None))

    def _is_due(self, file: str) -> bool:
        """Was no line of this log that is written over shown for a while?"""
        seconds = time.monotonic()
        if seconds - self._progress.get(file, -PROGRESS_S) < PROGRESS_S:
            return False
        self._progress[file] = seconds
        return True

    def _is_known(self, file: str, time: int, rest: str, *, dated: bool) -> bool:
        """Has another log just had the same line? A trainer that writes to a file and to the terminal has it twice. A
        line without a time is known only below one that is."""
        logs = self._known.get((time, rest), []) if dated or file in self._dropping else []
        other = next((name for name in logs if name != file), None)
        if dated:
            (self._dropping.add if other else self._dropping.discard)(file)
        if other is not None:
            logs.remove(other)
            return True
        self.remember(file, time, rest)
        return False

    def remember(self, file: str, time: int, rest: str) -> None:
        """This log has had this line."""
        key = (time, rest)
        if key not in self._known:
            self._order.append(key)
        self._known.setdefault(key, []).append(file)
        if len(self._order) > REMEMBERED:
            del self._known[self._order.popleft()]


def follow_logs(
    project: Project, query: LogQuery, report: Reporter, *, errors: bool = False
) -> Generator[Shown, None, None]:
    """Yield the newest lines, then those that are added, and what happens to the logs. Ends only when it is closed, or
    interrupted. errors: only lines that are errors. Raises UsageError."""
    scope = scope_of(project, query, errors=errors)
    followers = [Follower(project.layout.root, name) for name in scope.rules.files]
    positions = {follower.name: follower.position for follower in followers}
    chosen = _Filter(scope, whole=errors and not query.grep)
    found = read_newest(project, scope, chosen.matcher, report, positions)
    yield from found.notes
    for text in found.texts:
        if text.dated:
            chosen.remember(text.file, int(text.time or 0), text.rest)
        yield line_data(text)
    with cpu_ticks(chosen.matcher.tick), closing(follow(followers)) as added:
        for follower, lines in added:
            yield from _notes(follower)
            seconds = now().timestamp() if lines else 0.0
            known = len(chosen.matcher.problems)
            chosen.begin(lines)
            for line in lines:
                yield chosen.line(follower.name, line, seconds)
            yield from pattern_notes(chosen.matcher)[known:]
            yield None


def _notes(follower: Follower) -> Iterator[Message]:
    for note in follower.notes:
        yield tr("{file}: {note}", file=follower.name, note=note)
    follower.notes.clear()
