"""Read the errors of the trainer's logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from atftctl import protocol
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import ErrorPattern, Logs
from atftctl.domain.log_lines.survey import LogSurvey
from atftctl.domain.log_lines.tally import Tally
from atftctl.domain.log_lines.text import decode
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.record import record
from atftctl.domain.since import Since
from atftctl.domain.text import size_text
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.observe.log_files.blocks import PartError, blocks
from atftctl.observe.log_files.parts import LogFiles, log_files
from atftctl.observe.log_files.window import Mark, Span, everything, from_mark, from_time, newest
from atftctl.protocol.messages import Message, tr
from atftctl.state.layout import Layout

LIMIT = 64 << 20  # bytes of a log that are read where nobody asked for more

Progress = Callable[[int], None]


def ignore(size: int) -> None:
    """No progress is shown."""
    del size


@record
class ReadLog:
    """What was read of one log. `size`: bytes of it in the time asked for; `read`: of which were read. `files`: their
    names, the oldest first. `problem`: why it could not be read, or not whole. `undated`: no line has a time, so that
    the time asked for could not be found. `cut`: lines that were too long to be searched whole. `left_out`: the log is
    longer than the limit, so that only the newest part was read."""

    name: str
    size: int = 0
    read: int = 0
    files: tuple[str, ...] = ()
    problem: str = ""
    missing: bool = False
    undated: bool = False
    cut: int = 0
    left_out: bool = False


@record
class Survey:
    """The errors of the logs. `patterns`: what is wrong with patterns, by the name of their kind."""

    tally: Tally
    logs: tuple[ReadLog, ...]
    patterns: Mapping[str, str]

    @property
    def readable(self) -> bool:
        """Could any log be read?"""
        return any(log.files and not (log.problem and not log.read) for log in self.logs)

    @property
    def unread(self) -> list[Message]:
        """Why something of the logs was not searched: empty where no error can have been overlooked."""
        why = [tr("{file}: {problem}", file=log.name, problem=log.problem) for log in self.logs if log.problem]
        if all(log.missing for log in self.logs):
            why += [tr("{file} does not exist", file=log.name) for log in self.logs]
        return why + self.partly

    @property
    def partly(self) -> list[Message]:
        """Of which logs only the end was searched, and which patterns were given up."""
        ends = [
            tr(
                "{file}: read the newest {read} of {size}",
                file=log.name,
                read=size_text(log.read),
                size=size_text(log.size),
            )
            for log in self.logs
            if log.left_out
        ]
        return ends + [tr("kind {kind}: {problem}", kind=kind, problem=text) for kind, text in self.patterns.items()]


def spans_of(log: LogFiles, since: Since, run: ProcessRecord | None) -> list[Span]:
    """What to read of a log. run: the trainer's last run; without one, `start` means everything."""
    if since.kind == "time":
        return from_time(log, since.at)
    started = started_at(run) if run else None
    if since.kind == "all" or run is None or started is None:
        return everything(log)
    marks = {
        protocol.LOG: Mark(run.log_from, run.log_inode),
        run.output: Mark(run.output_from, run.output_inode),
    }
    mark = marks.get(log.name)
    if mark is None:
        return from_time(log, started)
    if mark.offset or mark.inode:
        return from_mark(log, mark, started)
    return [replace(span, undated=False) for span in from_time(log, started)]  # there was no file, or an empty one


def started_at(run: ProcessRecord) -> float | None:
    """When the trainer was started, in Unix seconds."""
    try:
        return datetime.fromisoformat(run.started_at).timestamp()
    except (ValueError, OverflowError):
        return None


def errors_since(
    layout: Layout,
    rules: Logs,
    run: ProcessRecord | None,
    since: Since,
    *,
    kinds: Sequence[ErrorPattern] = (),
    limit: int | None = LIMIT,
    expect: Progress = ignore,
    progress: Progress = ignore,
) -> Survey:
    """Count the errors of the trainer's logs.

    run: the trainer's last run, for `start`. kinds: other kinds of errors than those of the runbook. limit: bytes that
    are read of each log at most, the newest; None: all. expect: is told how many bytes will be read; progress: how many
    more have been read. Raises nothing: what can't be read is said in the survey.
    """
    matcher, tally = Matcher(kinds or rules.kinds), Tally()
    logs = [log_files(layout.root, name) for name in rules.files]
    wanted = [spans_of(log, since, run) for log in logs]
    chosen = [limited(spans, limit, since) for spans in wanted]
    expect(sum(span.size for spans in chosen for span in spans))
    with cpu_ticks(matcher.tick):
        read = [
            replace(
                _survey_log(
                    log, spans, LogSurvey(log.name, matcher, tally), sum(span.size for span in all_spans), progress
                ),
                left_out=spans != all_spans,
            )
            for log, spans, all_spans in zip(logs, chosen, wanted, strict=True)
        ]
    return Survey(tally, tuple(read), matcher.problems)


def limited(spans: Sequence[Span], limit: int | None, since: Since) -> list[Span]:
    """What is read of these spans where at most `limit` bytes are to be read; None: all, but of a file in which the
    time can't be found."""
    if limit is None and since.kind == "time" and any(span.undated for span in spans):
        limit = LIMIT
    return list(spans) if limit is None else newest(spans, limit)


def _survey_log(log: LogFiles, spans: Sequence[Span], survey: LogSurvey, size: int, progress: Progress) -> ReadLog:
    consumed, files, problem = 0, list[str](), log.problem
    for span in spans:
        survey.since = span.since
        try:
            for block in blocks(span.part, span.start):
                survey.block(decode(block.data), written=span.part.written)
                survey.cut += block.cut
                consumed += block.consumed
                progress(block.consumed)
            files.append(span.part.name)
        except PartError as error:
            problem = tr("{file} could not be read to its end: {reason}", file=span.part.name, reason=error.message)
    survey.end()
    undated = bool(spans) and any(span.undated for span in spans)
    return ReadLog(
        log.name, max(size, consumed), consumed, tuple(files), problem, log.missing, undated=undated, cut=survey.cut
    )
