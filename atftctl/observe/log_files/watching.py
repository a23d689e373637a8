"""Follow the messages of known kinds in the trainer's logs: nothing is searched twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from atftctl.domain.diagnosis import LogSign
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.meaning import Meanings
from atftctl.domain.log_lines.rules import ErrorPattern, Logs
from atftctl.domain.log_lines.survey import LogSurvey
from atftctl.domain.log_lines.tally import Message, Tally
from atftctl.domain.log_lines.text import decode
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.since import Since
from atftctl.host.files.growing import GrowingFile, Place
from atftctl.observe.log_files.blocks import PartError, blocks
from atftctl.observe.log_files.errors import limited, spans_of
from atftctl.observe.log_files.parts import log_files
from atftctl.observe.log_files.window import Span
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

LIMIT = 256 << 20  # bytes of each log that are read when it is begun with, the newest
Progress = Callable[[int], None]


def ignore(size: int) -> None:
    """No progress is shown."""
    del size


class _Log:
    """One log."""

    def __init__(self, layout: Layout, name: str, matcher: Matcher, record: ProcessRecord) -> None:
        self.tally = Tally()
        self._survey = LogSurvey(name, matcher, self.tally)
        log, since = log_files(layout.root, name), Since("start")
        whole = spans_of(log, since, record)
        self._spans: Sequence[Span] = limited(whole, LIMIT, since)
        self.left_out = self._spans != whole
        self.problem = log.problem
        self.size = sum(span.size for span in self._spans)
        last = self._spans[-1] if self._spans and not self._spans[-1].part.packed else None
        self._earlier = self._spans[:-1] if last else self._spans
        here = last or (Span(log.parts[-1], log.parts[-1].size) if log.parts and not log.parts[-1].packed else None)
        place = Place(here.part.inode, here.start) if here else Place()
        self._survey.since = last.since if last else None
        self.file = GrowingFile(layout.root, name, place, breaks=b"\n\r")

    def read_earlier(self, progress: Progress) -> None:
        """The rotated files that this run wrote."""
        since = self._survey.since
        for span in self._earlier:
            self._survey.since = span.since
            try:
                for block in blocks(span.part, span.start):
                    self._survey.block(decode(block.data), written=span.part.written)
                    progress(block.consumed)
            except PartError as error:
                self.problem = error.message
        self._survey.since = since

    def read(self, progress: Progress) -> bool:
        """Read what was added; was there anything?"""
        added = False
        for piece in self.file.pieces():
            added = True
            self._survey.block(decode(piece.data), written=self.file.written or 0.0)
            progress(len(piece.data))
        return added

    def end(self, *, rest: bool) -> None:
        """Count what is still open: a traceback whose writer is silent, and with `rest` a line without an end."""
        if rest and (data := self.file.rest()):
            self._survey.block(decode(data), written=self.file.written or 0.0)
        self._survey.end()


class LogWatcher:
    """The logs of one run. Everything that the run has written so far is read at the first call of `read`."""

    def __init__(self, layout: Layout, rules: Logs, kinds: Sequence[ErrorPattern], record: ProcessRecord) -> None:
        self.matcher = Matcher(kinds)
        self._logs = {name: _Log(layout, name, self.matcher, record) for name in rules.files}
        self._meanings = Meanings(kinds)
        self._known: tuple[int, ...] = ()
        self._open: set[str] = set()  # logs in which something may be open
        self._ended = False
        self.signs: tuple[LogSign, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes the first call of `read` will read."""
        return sum(log.size for log in self._logs.values())

    def read(self, progress: Progress = ignore, *, ended: bool = False) -> bool:
        """Read what was added; True where that has changed `signs`. ended: the trainer has: its last line may have no
        end."""
        for name, log in self._logs.items():
            if not self._known:
                log.read_earlier(progress)
            added = log.read(progress)
            if added:
                self._open.add(name)
            if (ended and not self._ended) or (name in self._open and not added):
                log.end(rest=ended)
                self._open.discard(name)
        self._ended = ended
        counts = (1, *(log.tally.count + log.tally.warnings for log in self._logs.values()))
        changed, self._known = counts != self._known, counts
        if changed:
            self.signs = tuple(self._signs())
        return changed

    @property
    def unread(self) -> tuple[str, ...]:
        """Which logs can't be read, and why."""
        problems = {name: log.problem or log.file.problem for name, log in self._logs.items() if log.file.exists}
        return tuple(tr("{file}: {problem}", file=name, problem=text) for name, text in problems.items() if text)

    @property
    def partly(self) -> tuple[str, ...]:
        """Of which logs only a part was searched."""
        missing = [tr("{file} does not exist", file=name) for name, log in self._logs.items() if not log.file.exists]
        parts = [tr("{file}: only its newest part was read", file=n) for n, log in self._logs.items() if log.left_out]
        given_up = self.matcher.problems.items()
        return (*missing, *parts, *(tr("kind {kind}: {problem}", kind=kind, problem=text) for kind, text in given_up))

    def close(self) -> None:
        """Close the files."""
        for log in self._logs.values():
            log.file.close()

    def _signs(self) -> list[LogSign]:
        """The messages of all logs, each with what it means. A message that several logs have is one."""
        merged: dict[tuple[str, str, str], Message] = {}
        for log in self._logs.values():
            for key, message in log.tally.messages.items():
                merged[key] = _merged(merged[key], message) if key in merged else message
        return [
            LogSign(
                kind.name, kind.role, kind.symptom, message.severity, message.text, message.count, message.first,
                message.last,
            )
            for message in merged.values()
            if (kind := self._meanings.of(message.kind, message.text))
        ]  # fmt: skip


def _merged(here: Message, there: Message) -> Message:
    firsts = [time for time in (here.first, there.first) if time is not None]
    lasts = [time for time in (here.last, there.last) if time is not None]
    return Message(
        here.kind, here.text, here.severity, max(here.count, there.count), min(firsts, default=None),
        max(lasts, default=None),
    )  # fmt: skip
