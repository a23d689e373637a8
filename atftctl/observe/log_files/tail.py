"""Read the newest lines of the trainer's logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.merge import LogText, merged
from atftctl.domain.log_lines.text import Line, decode, lines, plain
from atftctl.domain.log_lines.times import split_time
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.observe.log_files.blocks import PartError, blocks
from atftctl.observe.log_files.parts import LogFiles
from atftctl.observe.log_files.probe import line_start
from atftctl.observe.log_files.window import Span
from atftctl.protocol.messages import Message, tr

T = TypeVar("T")
Progress = Callable[[int], None]
STEPS = (64 << 10, 1 << 20, 16 << 20, 256 << 20)  # bytes at the end that are read, until there are enough lines


def newest_lines(
    logs: Sequence[LogFiles], spans: Sequence[Sequence[Span]], count: int, matcher: Matcher, problems: list[Message]
) -> list[LogText]:
    """The newest `count` lines of all logs together, the oldest first. matcher: marks errors. problems: gets what could
    not be read."""
    with cpu_ticks(matcher.tick):
        texts = [
            _of_log(log, reversed(parts), count, matcher, problems) for log, parts in zip(logs, spans, strict=True)
        ]
    return _last(merged(texts, _written(logs)), count)


def matching_lines(
    logs: Sequence[LogFiles],
    spans: Sequence[Sequence[Span]],
    count: int,
    matcher: Matcher,
    problems: list[Message],
    progress: Progress,
) -> list[LogText]:
    """As `newest_lines`, of the lines that a kind of the matcher matches. Reads all of the spans. progress: is told how
    many bytes more have been read."""
    texts = []
    with cpu_ticks(matcher.tick):
        for log, parts in zip(logs, spans, strict=True):
            kept: deque[LogText] = deque(maxlen=count)
            time = None
            for span in parts:
                for line in _lines(span, span.start, matcher, problems, progress):
                    text = _dated(log.name, line, time, span.part.written)
                    time = text.time
                    if matcher.kind_here(line.text) is not None:
                        kept.append(text)
            texts.append(list(kept))
    return _last(merged(texts, _written(logs)), count)


def _last(rows: list[T], count: int) -> list[T]:
    return rows[-count:] if count else []


def _written(logs: Sequence[LogFiles]) -> list[float]:
    return [max((part.written for part in log.parts), default=0.0) for log in logs]


def _of_log(
    log: LogFiles, spans: Iterator[Span], count: int, matcher: Matcher, problems: list[Message]
) -> list[LogText]:
    """The newest lines of one log; lines that others were written over are left out, unless they are errors."""
    newest: list[Line] = []
    written = 0.0
    for span in spans:
        written = written or span.part.written
        newest = _of_span(span, count - len(newest), matcher, problems) + newest
        if len(newest) >= count:
            break
    time, texts = None, []
    for line in _last(newest, count):
        text = _dated(log.name, line, time, written)._replace(error=matcher.kind(line.text) is not None)
        time = text.time
        texts.append(text)
    return texts


def _of_span(span: Span, count: int, matcher: Matcher, problems: list[Message]) -> list[Line]:
    kept: deque[Line] = deque(maxlen=count)
    for step in STEPS:
        start = span.start if span.part.packed else max(span.start, line_start(span.part, span.part.size - step))
        kept.clear()
        for line in _lines(span, start, matcher, problems):
            if not line.overwritten or matcher.kind_here(line.text) is not None:
                kept.append(line)
        if len(kept) >= count or start <= span.start:
            break
    return list(kept)


def _lines(
    span: Span, start: int, matcher: Matcher, problems: list[Message], progress: Progress | None = None
) -> Iterator[Line]:
    try:
        for block in blocks(span.part, start):
            matcher.searched += len(block.data)
            text = plain(decode(block.data))
            matcher.narrow(text)
            yield from lines(text)
            if progress:
                progress(block.consumed)
    except PartError as error:
        text = tr("{file} could not be read to its end: {reason}", file=span.part.name, reason=error.message)
        if text not in problems:
            problems.append(text)


def _dated(file: str, line: Line, before: float | None, written: float) -> LogText:
    """The line with its time, else with that of the line before it."""
    time, rest = split_time(line.text, written)
    return LogText(file, line.text, before if time is None else time, rest, dated=time is not None)
