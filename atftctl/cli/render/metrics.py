"""The metrics of training."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl.cli.render import curves, svg, svg_file
from atftctl.cli.render.ages import short_moment
from atftctl.cli.render.console import WARN, emit, emit_raw, say, say_marked, screen, write_lines
from atftctl.cli.render.layout import GAP, display_width
from atftctl.cli.render.tables import show_table
from atftctl.cli.render.translation import localize
from atftctl.domain.curve import number_text
from atftctl.domain.printable import printable
from atftctl.domain.result import Result
from atftctl.protocol.messages import Message, joined, tr, trn

if TYPE_CHECKING:
    from atftctl.operations.report.metrics_data import BranchData, ColumnData, MetricsData, SummaryData

PLOT_ROWS = 4
MOST_BRANCHES = 12  # the newest, on the screen
MOST_SUMMARIES = 5


def metrics(result: Result) -> None:
    """What was discarded, the branches, then the rows, the figures or the curves that were asked for."""
    from atftctl.operations.report.metrics_data import MetricsData

    data = result.data
    assert isinstance(data, MetricsData)
    say(result.headline, "strong")
    for line in result.lines:
        say_marked(WARN, line, "warn")
    if data.branches:
        _branches(data.branches)
    if data.tail:
        _tail(data)
        return
    if data.curves and sys.stdout.isatty():
        _curves(data)
    for summary in data.summaries[-MOST_SUMMARIES:]:
        _summary(summary, whole=bool(summary.branch))
    _say_older(len(data.summaries) - MOST_SUMMARIES)
    if data.plot:
        say(tr("wrote the curves to {path}", path=data.plot))


def with_plot(result: Result, path: Path) -> Result:
    """The result, after its curves were written to an SVG file. Raises Refused where that is not possible."""
    from atftctl.operations.report.metrics_data import MetricsData

    data = result.data
    assert isinstance(data, MetricsData)
    if not data.curves:
        return replace(result, lines=(*result.lines, tr("there is nothing to draw: {path} was not written", path=path)))
    panels = [svg.Panel(curves.described(each.curve), [each.curve]) for each in data.curves.values()]
    svg_file.write(path, svg.figure(tr("Training metrics of {path}", path=data.source), panels))
    return replace(result, data=replace(data, plot=str(path)))


def _branches(branches: Sequence[BranchData]) -> None:
    """One row a branch, the oldest first."""
    head = (tr("branch"), tr("steps"), tr("from (UTC)"), tr("until"), tr("what became of it"))
    rows = [
        (
            branch.name,
            f"{branch.first_step:,}-{branch.last_step:,}",
            short_moment(branch.started or ""),
            short_moment(branch.ended or "", branch.started or ""),
            _fate(branch),
        )
        for branch in branches[-MOST_BRANCHES:]
    ]
    show_table(head, rows)
    _say_older(len(branches) - MOST_BRANCHES)


def _say_older(count: int) -> None:
    if count > 0:
        say(trn("and {count} older branch; --json lists all", "and {count} older branches; --json lists all", count))


def _fate(branch: BranchData) -> Message:
    """Where a branch comes from, and how much of it was discarded."""
    parts: list[str] = []
    step = f"{branch.resumed_at:,}"
    if branch.came_from:
        parts.append(tr("resumed from step {step} of branch {branch}", branch=branch.came_from, step=step))
    elif branch.resumed_at:
        parts.append(tr("resumed from step {step}", step=step))
    if branch.kept_to is None:
        parts.append(_with_cost(tr("discarded"), branch))
    elif branch.discarded:
        count, last = trn("{count} step", "{count} steps", branch.discarded), f"{branch.kept_to:,}"
        parts.append(_with_cost(tr("discarded after step {step}: {count}", step=last, count=count), branch))
    return joined("; ", parts or [tr("kept")])


def _with_cost(text: Message, branch: BranchData) -> Message:
    from atftctl.operations.report.metrics_notes import duration

    return text if branch.cost_s is None else tr("{text} ({time})", text=text, time=duration(branch.cost_s))


def _curves(data: MetricsData) -> None:
    width = screen()[0]
    shown = curves.charset()
    for curve in (each.curve for each in data.curves.values()):
        emit()
        say(curves.described(curve), lead="  ")
        if len(curve.xs) > 1:
            write_lines(f"  {line}" for line in curves.plot([curve], width=width - 2, height=PLOT_ROWS, charset=shown))


def _summary(summary: SummaryData, *, whole: bool) -> None:
    """The figures of each column; `whole`: of a summary, otherwise below the curves."""
    if whole:
        steps = f"{summary.first_step:,}-{summary.last_step:,}"
        count = trn("{count} row", "{count} rows", summary.rows)
        say()
        say(tr("branch {branch}: steps {steps}, {rows}", branch=summary.branch, steps=steps, rows=count), "strong")
    else:
        emit()
    head, pick = (WHOLE_HEAD, _whole) if whole else (SHORT_HEAD, _short)
    show_numbers((tr("column"), *head), [(name, *pick(column)) for name, column in summary.columns.items()])


SHORT_HEAD = (tr("last"), tr("min"), tr("median"), tr("max"), tr("nan/inf"), tr("missing"))
WHOLE_HEAD = (
    tr("count"),
    tr("missing"),
    tr("nan/inf"),
    tr("first"),
    tr("last"),
    tr("mean"),
    tr("min"),
    tr("max"),
)


def _short(column: ColumnData) -> tuple[str, ...]:
    values = (column.last, column.min, column.median, column.max)
    return (*map(cell, values), _count(column.non_finite), _count(column.missing))


def _whole(column: ColumnData) -> tuple[str, ...]:
    values = (column.first, column.last, column.mean, column.min, column.max)
    return (str(column.count), _count(column.missing), _count(column.non_finite), *map(cell, values))


def _count(count: int) -> str:
    return str(count) if count else ""


def cell(value: float | str | None) -> str:
    """A value as the cell of a table."""
    return value if isinstance(value, str) else number_text(value)


def _tail(data: MetricsData) -> None:
    rows = [tuple(cell(row.get(name)) for name in data.columns) for row in data.tail]
    show_numbers(data.columns, rows)


def show_numbers(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of numbers, flush right. On a terminal, the columns that do not fit and those without a value are left
    out; the former are named below it. Else tab by tab, the head first."""
    grid = [[printable(localize(text)) for text in row] for row in (head, *rows)]
    if not sys.stdout.isatty():
        for row in grid:
            emit_raw("\t".join(row) + "\n")
        return
    widths = [max(map(display_width, column)) for column in zip(*grid, strict=True)]
    filled = [at for at in range(len(widths)) if at == 0 or any(row[at] for row in grid[1:])]
    shown = fitting([widths[at] for at in filled], screen()[0])
    columns = [filled[at] for at in shown]
    lines = ["  ".join(_flush(row[at], widths[at], right=at > 0) for at in columns) for row in grid]
    write_lines(lines[:1], "quiet")
    write_lines(lines[1:])
    if hidden := [grid[0][at] for at in filled[len(columns) :]]:
        say(tr("not shown, for lack of room (--json has all): {names}", names=", ".join(hidden)), "quiet")


def fitting(widths: Sequence[int], room: int) -> list[int]:
    """The first columns that fit into the room, at least one."""
    used, shown = 0, list[int]()
    for at, width in enumerate(widths):
        used += width + (GAP if at else 0)
        if at and used > room:
            break
        shown.append(at)
    return shown


def _flush(text: str, columns: int, *, right: bool) -> str:
    space = " " * (columns - display_width(text))
    return space + text if right else text + space
