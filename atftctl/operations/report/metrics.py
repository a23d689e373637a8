"""`metrics`: the branches of the trainer's metrics, what was discarded, and the curves of what holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from atftctl.decide.metrics import branches as branching
from atftctl.decide.metrics.curves import curves
from atftctl.decide.metrics.selection import Selection, select
from atftctl.decide.metrics.summary import summaries
from atftctl.domain.branches import Branch
from atftctl.domain.errors import UsageError
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.metrics_table import MetricsTable, Row, SetAside
from atftctl.domain.moments import moment_of
from atftctl.domain.record import record
from atftctl.domain.result import Result
from atftctl.domain.text import listed
from atftctl.observe.metrics.reader import reader_of
from atftctl.observe.metrics.runs import runs
from atftctl.operations.project import Project, now
from atftctl.operations.report import metrics_notes as notes
from atftctl.operations.report.metrics_data import (
    CurveData,
    MetricsData,
    SummaryData,
    branch_data,
    column_data,
    curve_data,
    number,
    set_aside_data,
)
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

ALL, LAST = "all", "last"
GENERATION = "generation"
MOST_SUMMARIES = 50  # branches, the newest


@record
class Query:
    """What is asked for. `tail`: this many of the newest rows; 0 for none. `summary`: the figures of each branch.
    `since`: only rows since this time; "" for all. `generation`: the name of a branch, `last` or `all`; "" for the
    history that the newest branch descends from."""

    tail: int = 0
    summary: bool = False
    since: str = ""
    generation: str = ""


def metrics(project: Project, query: Query) -> Result:
    """Show the metrics that the trainer wrote. Raises UsageError for a time or a branch that is none, Refused where the
    metrics can't be read."""
    if query.tail and query.summary:
        raise UsageError(tr("--tail and --summary can't be used together"))
    since = _since(query.since)
    if query.tail and since is None and not query.generation:
        return _newest(project, query.tail)
    reader, rules = reader_of(project.layout), project.runbook.metrics
    read = reader.read()
    if read is None:
        return _nothing(reader.source)
    table = branching.arranged(read)
    known = branching.branches(table, runs(project.layout.root), rules.step_time)
    if not known:
        return _nothing(reader.source, table.set_aside)
    name = _named(known, query.generation)
    chosen = select(table, known, name, since)
    names = _ordered(rules, [notes.STEP, *([GENERATION] if known[-1].generation else []), *table.columns])
    rows = table.rows(slice(0)) if query.tail or query.summary else chosen.rows()
    data = MetricsData(
        source=reader.source,
        selected=name,
        rows=len(chosen),
        branches=tuple(map(branch_data, known)),
        columns=names,
        tail=tuple(_plain(row) for row in chosen.tail(query.tail)),
        summaries=_by_branch(chosen, names) if query.summary else _together(rows, names),
        curves=_curves(rows, rules),
        set_aside=set_aside_data(table.set_aside),
    )
    lines = (*notes.of_reading(table.set_aside), *notes.of_branches(known), *notes.of_times(chosen))
    return Result("metrics", Exit.DONE, notes.headline(known, len(table)), lines=lines, data=data)


def _since(text: str) -> float | None:
    """The time in unix seconds; None for "". Raises UsageError where the text names no time."""
    if not text:
        return None
    moment = moment_of(text, now())
    if moment is None:
        raise UsageError(
            tr("{text!r} is neither a time span nor a time", text=text),
            hint=tr("write it as 90min, 2h, 1d, 10:31 or 2026-11-30T10:00"),
        )
    return moment.timestamp()


def _named(known: Sequence[Branch], asked: str) -> str:
    """The name of the branch that is asked for. Raises UsageError where there is none."""
    names = [branch.name for branch in known]
    if asked == LAST:
        return names[-1]
    if asked in ("", ALL, *names):
        return asked
    raise UsageError(
        tr("there is no branch {name!r} in the metrics", name=asked),
        hint=tr("known: {names}", names=listed([LAST, ALL, *reversed(names)], 20)),
    )


def _newest(project: Project, count: int) -> Result:
    """The newest rows as they were written, whatever became of them."""
    reader = reader_of(project.layout)
    newest = reader.newest(count)
    if newest is None or not newest.rows:
        return _nothing(reader.source, newest.set_aside if newest else None)
    names = _ordered(project.runbook.metrics, newest.columns)
    data = MetricsData(
        source=reader.source,
        selected=ALL,
        rows=len(newest.rows),
        columns=names,
        tail=tuple(_plain(row) for row in newest.rows),
        set_aside=set_aside_data(newest.set_aside),
    )
    lines = notes.of_reading(newest.set_aside)
    return Result("metrics", Exit.DONE, notes.newest(reader.source, len(newest.rows)), lines=lines, data=data)


def _nothing(source: str, aside: SetAside | None = None) -> Result:
    aside = aside or SetAside()
    data = MetricsData(source=source, set_aside=set_aside_data(aside))
    return Result("metrics", Exit.DONE, notes.nothing(source, aside), lines=notes.of_reading(aside), data=data)


def _ordered(rules: Metrics, names: Collection[str]) -> tuple[str, ...]:
    """The names of the columns: step and generation, those of the runbook in its order, the others."""
    return tuple(name for name in dict.fromkeys((notes.STEP, GENERATION, *rules.columns, *names)) if name in names)


def _plain(row: Row) -> dict[str, float | str | None]:
    return {name: number(value) for name, value in row.items()}


def _by_branch(chosen: Selection, names: Sequence[str]) -> tuple[SummaryData, ...]:
    """The figures of each selected branch."""
    newest = list(chosen.by_branch.items())[-MOST_SUMMARIES:]
    return tuple(_summary(name, chosen.table.rows(rows), names, medians=False) for name, rows in newest)


def _together(rows: MetricsTable, names: Sequence[str]) -> tuple[SummaryData, ...]:
    """The figures of all selected rows."""
    return (_summary("", rows, names, medians=True),) if len(rows) else ()


def _summary(name: str, rows: MetricsTable, names: Sequence[str], *, medians: bool) -> SummaryData:
    figures = summaries(rows, medians=medians)
    return SummaryData(
        branch=name,
        rows=len(rows),
        first_step=int(rows.steps.min()),
        last_step=int(rows.steps.max()),
        columns={column: column_data(figures[column]) for column in names if column in figures},
    )


def _curves(rows: MetricsTable, rules: Metrics) -> dict[str, CurveData]:
    return {role: curve_data(column, curve) for role, (column, curve) in curves(rows, rules).items()}
