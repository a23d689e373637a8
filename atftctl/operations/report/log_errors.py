"""`logs --errors`: the errors in the trainer's logs, by kind and by time. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.errors import UsageError
from atftctl.domain.log_lines.tally import Found, KindCount, histogram
from atftctl.domain.result import Reporter, Result
from atftctl.domain.text import size_text
from atftctl.observe.log_files import errors as observed
from atftctl.observe.log_files.parts import log_files
from atftctl.operations.project import Project
from atftctl.operations.report.log_data import ErrorKind, ErrorMessage, FirstError, LogErrorsData, LogFile
from atftctl.operations.report.log_query import LogQuery, Scope, iso, nothing_read, scope_of, when_text
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr, trn

BINS = 60  # of the counts over time, at most


def errors(project: Project, query: LogQuery, report: Reporter) -> Result:
    """Count the errors of the logs by kind and by time. The exit code is 0 also where there are errors: this looks, and
    `verify` judges. Raises UsageError."""
    if query.lines is not None:
        raise UsageError(tr("--errors shows counts, no lines"), hint="atftctl logs --errors")
    scope = scope_of(project, query)
    report.part("logs")
    survey = observed.errors_since(
        project.layout,
        scope.rules,
        scope.run,
        scope.since,
        kinds=scope.search,
        limit=scope.limit,
        expect=report.expect,
        progress=report.progress,
    )
    if not survey.readable:
        logs = [log_files(project.layout.root, name) for name in scope.rules.files]
        return Result("logs", Exit.INCONCLUSIVE, nothing_read(logs), data=_errors_data(scope, survey))
    return Result(
        "logs",
        Exit.DONE,
        _headline(scope, survey),
        lines=_notes(survey, query),
        data=_errors_data(scope, survey),
    )


def _headline(scope: Scope, survey: observed.Survey) -> Message:
    tally, when = survey.tally, when_text(scope)
    errors = trn("{count} error {when}", "{count} errors {when}", tally.count, when=when)
    if not tally.count:
        errors = tr("no errors {when}", when=when)
        if survey.unread:
            errors = tr("only a part of what was written {when} was searched; no error is in this part", when=when)
    if not tally.warnings:
        return errors
    warnings = trn("{count} warning", "{count} warnings", tally.warnings)
    return tr("{errors}; {warnings}", errors=errors, warnings=warnings)


def _notes(survey: observed.Survey, query: LogQuery) -> tuple[Message, ...]:
    """What has to be known beside the counts."""
    notes = [note for log in survey.logs for note in _read_notes(log, query)]
    notes += [tr("kind {kind}: {problem}", kind=kind, problem=problem) for kind, problem in survey.patterns.items()]
    if survey.tally.duplicates:
        notes.append(
            trn(
                "{count} error that two logs hold is counted once",
                "{count} errors that two logs hold are counted once",
                survey.tally.duplicates,
            )
        )
    return tuple(notes)


def _read_notes(log: observed.ReadLog, query: LogQuery) -> list[Message]:
    size, read = size_text(log.size), size_text(log.read)
    notes = []
    if log.problem:
        notes.append(tr("{file}: {problem}", file=log.name, problem=log.problem))
    elif log.missing:
        notes.append(tr("{file} does not exist", file=log.name))
    if log.undated and log.read:
        notes.append(
            tr("{file}: the time was not found in it: no line has one, or its clock is another one", file=log.name)
        )
    if log.read < log.size and not log.problem:
        text = tr("{file}: read the newest {read} of {size}", file=log.name, read=read, size=size)
        more = "start" if not query.since else "all"
        notes.append(tr("{text}; to read everything: --since {more}", text=text, more=more))
    elif log.read:
        notes.append(tr("{file}: read {read}", file=log.name, read=read))
    if log.cut:
        notes.append(
            trn(
                "{file}: {count} line is very long; only its beginning was searched",
                "{file}: {count} lines are very long; only their beginnings were searched",
                log.cut,
                file=log.name,
            )
        )
    return notes


def _errors_data(scope: Scope, survey: observed.Survey) -> LogErrorsData:
    tally = survey.tally
    counts = histogram(tally, BINS)
    order = {pattern.name: number for number, pattern in enumerate(scope.search or scope.rules.kinds)}
    rows = list(zip(tally.kinds.values(), counts.rows if counts else [()] * len(tally.kinds), strict=True))
    rows.sort(key=lambda row: (row[0].severity == "warning", order.get(row[0].name, 0)))
    messages = sorted(tally.messages.values(), key=lambda message: -message.count)
    return LogErrorsData(
        since=iso(scope.begin),
        count=tally.count,
        warnings=tally.warnings,
        kinds=tuple(_kind(row, bins) for row, bins in rows),
        first=_first(tally.first) if tally.first else None,
        messages=tuple(
            ErrorMessage(message.kind, message.text, message.count, iso(message.first), iso(message.last))
            for message in messages
        ),
        other_messages=tally.other_messages,
        begin=iso(counts.begin) if counts else None,
        bin_seconds=counts.width_s if counts else 0,
        undated=tally.undated,
        duplicates=tally.duplicates,
        files=tuple(LogFile(log.name, log.size, log.read, log.files, _problem(log)) for log in survey.logs),
        patterns=dict(survey.patterns),
    )


def _problem(log: observed.ReadLog) -> str:
    return log.problem or (tr("{file} does not exist", file=log.name) if log.missing else "")


def _kind(row: KindCount, bins: Sequence[int]) -> ErrorKind:
    return ErrorKind(row.name, row.severity, row.count, iso(row.first), iso(row.last), tuple(bins))


def _first(found: Found) -> FirstError:
    return FirstError(
        kind=found.kind,
        severity=found.severity,
        file=found.file,
        time=iso(found.time),
        message=found.message,
        before=found.before,
        lines=found.lines,
        after=found.after,
        left_out=found.left_out,
    )
