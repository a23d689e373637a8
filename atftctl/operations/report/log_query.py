"""What is asked of the logs: from when on, which lines, of which log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from atftctl.domain.errors import UsageError
from atftctl.domain.log_lines.rules import ErrorPattern, Logs
from atftctl.domain.log_lines.rules import problem as pattern_problem
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.record import record
from atftctl.domain.since import Since, parse_since
from atftctl.domain.text import nearest
from atftctl.observe.log_files.errors import LIMIT, started_at
from atftctl.observe.log_files.parts import LogFiles
from atftctl.operations.project import Project, now
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import process_record

FEW, MANY, MOST = 20, 1000, 100_000  # lines: by default, with a time, and at most


@record
class LogQuery:
    """What is asked for. `since`: as typed after --since; "" for the last start of the trainer. `lines`: how many
    lines at most; None for the default. `grep`: a regular expression. `file`: one of the runbook's logs, "" for all."""

    since: str = ""
    lines: int | None = None
    grep: str = ""
    file: str = ""


@record
class Scope:
    """A query as it is carried out. `run`: the trainer's last one."""

    rules: Logs
    since: Since
    run: ProcessRecord | None
    count: int
    search: tuple[ErrorPattern, ...] = ()  # what lines must match; in place of the kinds of errors
    limit: int | None = None  # bytes that are read of each log at most, the newest

    @property
    def begin(self) -> float | None:
        """From when on, in Unix seconds; None for everything."""
        if self.since.kind == "time":
            return self.since.at
        return started_at(self.run) if self.since.kind == "start" and self.run else None


def scope_of(project: Project, query: LogQuery, *, errors: bool = False) -> Scope:
    """How a query is carried out. errors: only lines that are errors. Raises UsageError where it can't be."""
    rules = project.runbook.logs
    try:
        since = parse_since(query.since or "start", now())
    except ValueError as error:
        raise UsageError(error.args[0], hint="atftctl logs --since 2h") from None
    default = MANY if query.since and since.kind != "start" else FEW
    return Scope(
        rules := _of_file(rules, query.file),
        since,
        process_record.read(project.layout),
        min(default if query.lines is None else query.lines, MOST),
        _search(query.grep) or (rules.kinds if errors else ()),
        None if query.since else LIMIT,
    )


def _search(grep: str) -> tuple[ErrorPattern, ...]:
    """The operator's search as a kind of error; a search in small letters finds capitals, too. Raises UsageError."""
    if not grep:
        return ()
    pattern = f"(?i){grep}" if grep == grep.lower() and not grep.startswith("(?") else grep
    if why := pattern_problem(pattern):
        raise UsageError(tr("{pattern!r} can't be searched for: {reason}", pattern=grep, reason=why))
    return (ErrorPattern("grep", pattern),)


def _of_file(rules: Logs, name: str) -> Logs:
    """The rules for one log only. Raises UsageError for a log that the runbook does not name."""
    if not name:
        return rules
    chosen = [file for file in rules.files if name in (file, file.rpartition("/")[2])]
    if not chosen:
        raise UsageError(tr("the runbook names no log {name}", name=name), hint=nearest(name, rules.files))
    return replace(rules, files=tuple(chosen))


def when_text(scope: Scope) -> Message:
    begin = scope.begin
    if begin is None:
        return tr("in the logs")
    at = datetime.fromtimestamp(begin).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if scope.since.kind == "start":
        return tr("since the trainer was started at {time}", time=at)
    return tr("since {time}", time=at)


def nothing_read(logs: Sequence[LogFiles]) -> Message:
    """Why there is nothing to read."""
    why = [tr("{file}: {problem}", file=log.name, problem=log.problem) for log in logs if log.problem]
    why += [tr("{file} does not exist", file=log.name) for log in logs if not log.problem]
    return tr("no log could be read: {reasons}", reasons=joined("; ", why))


def iso(seconds: float | None) -> str | None:
    """Local time with its zone; None where it is not known, or no calendar has it."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None
