"""`logs`: the newest lines of the trainer's logs. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.merge import LogText, folded
from atftctl.domain.record import record
from atftctl.domain.result import Reporter, Result
from atftctl.domain.text import size_text
from atftctl.observe.log_files import errors as observed
from atftctl.observe.log_files.parts import LogFiles, log_files
from atftctl.observe.log_files.tail import matching_lines, newest_lines
from atftctl.observe.log_files.window import Span
from atftctl.operations.project import Project
from atftctl.operations.report.log_data import LogFile, LogLine, LogsData
from atftctl.operations.report.log_query import LogQuery, Scope, iso, nothing_read, scope_of, when_text
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr, trn


def newest(project: Project, query: LogQuery, report: Reporter) -> Result:
    """The newest lines of the logs. Raises UsageError."""
    scope = scope_of(project, query)
    found = read_newest(project, scope, Matcher(scope.search or scope.rules.kinds), report)
    logs, texts = found.logs, found.texts
    lines = tuple(line_data(text, count) for text, count in folded(texts))
    files = tuple(_file(log) for log in logs)
    headline = trn("{count} line {when}", "{count} lines {when}", len(texts), when=when_text(scope))
    if not any(log.parts for log in logs):
        return Result("logs", Exit.INCONCLUSIVE, nothing_read(logs), data=LogsData(iso(scope.begin), lines, files))
    notes = [tr("{file}: {problem}", file=log.name, problem=log.problem) for log in logs if log.problem]
    notes += [tr("{file} does not exist", file=log.name) for log in logs if log.missing]
    notes += found.notes
    return Result("logs", Exit.DONE, headline, lines=tuple(notes), data=LogsData(iso(scope.begin), lines, files))


@record
class Newest:
    """The newest lines, and what has to be known beside them."""

    logs: tuple[LogFiles, ...]
    texts: tuple[LogText, ...]
    notes: tuple[Message, ...]


def read_newest(
    project: Project,
    scope: Scope,
    matcher: Matcher,
    report: Reporter,
    positions: Mapping[str, tuple[int, int]] | None = None,
) -> Newest:
    """Read the newest lines; where something is searched for, those that match. positions: by log the inode and the
    byte offset that are not to be passed."""
    logs = [_up_to(log_files(project.layout.root, name), (positions or {}).get(name)) for name in scope.rules.files]
    wanted = [observed.spans_of(log, scope.since, scope.run) for log in logs]
    spans = [observed.limited(parts, scope.limit, scope.since) for parts in wanted]
    problems: list[Message] = []
    if scope.search:
        report.part("logs")
        report.expect(_size(spans))
        texts = matching_lines(logs, spans, scope.count, matcher, problems, report.progress)
        if _size(spans) < _size(wanted):
            problems.append(_only_newest(_size(spans), _size(wanted)))
    else:
        texts = newest_lines(logs, spans, scope.count, matcher, problems)
    return Newest(tuple(logs), tuple(texts), (*problems, *pattern_notes(matcher)))


def _size(spans: Sequence[Sequence[Span]]) -> int:
    return sum(span.size for parts in spans for span in parts)


def _only_newest(read: int, size: int) -> Message:
    text = tr("searched the newest {read} of {size}", read=size_text(read), size=size_text(size))
    return tr("{text}; to read everything: --since {more}", text=text, more="start")


def pattern_notes(matcher: Matcher) -> list[Message]:
    """What is wrong with the patterns that were searched for."""
    return [tr("kind {kind}: {problem}", kind=kind, problem=problem) for kind, problem in matcher.problems.items()]


def _up_to(log: LogFiles, position: tuple[int, int] | None) -> LogFiles:
    """The log as if it ended at this position: what comes after it is followed."""
    if position is None or not log.parts or log.parts[-1].inode != position[0]:
        return log
    return replace(log, parts=(*log.parts[:-1], replace(log.parts[-1], size=position[1])))


def line_data(text: LogText, count: int = 1) -> LogLine:
    return LogLine(text.file, iso(text.time), text.text, text.error, count)


def _file(log: LogFiles) -> LogFile:
    problem = log.problem or (tr("{file} does not exist", file=log.name) if log.missing else "")
    return LogFile(
        log.name, sum(part.size for part in log.parts), None, tuple(part.name for part in log.parts), problem
    )
