"""A list of things as a table on a terminal, and tab by tab for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from atftctl.cli.render.console import emit_raw, say, screen, write_lines
from atftctl.cli.render.layout import GAP, NARROW, display_width, pad, table
from atftctl.cli.render.translation import localize
from atftctl.domain.printable import printable


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """On a terminal with a head, the last column wrapped; else one row a line, tab by tab, for cut and awk."""
    cells = [[printable(localize(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            emit_raw("\t".join(row) + "\n")
        return
    first, *others = table([localize(name) for name in head], cells, screen()[0])
    write_lines([first], "quiet")
    write_lines(others)


def show_wide_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As `show_table`. Where a terminal is too narrow, its rows become columns, some at a time."""
    shown = [[display_width(localize(cell)) for cell in row] for row in (head, *rows)]
    needed, columns = sum(max(column) + GAP for column in zip(*shown, strict=True)), screen()[0]
    if not sys.stdout.isatty() or needed <= columns:
        show_table(head, rows)
        return
    cell = max(max(widths) for widths in shown[1:]) + GAP
    most = max(1, (columns - NARROW - max(shown[0]) - GAP) // cell + 1)
    for first in range(0, len(rows), most):
        names, *lines = zip(head, *rows[first : first + most], strict=True)
        show_table(names, lines)


def show_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values, one below the other; empty values are left out."""
    names = {localize(name): value for name, value in fields if value}
    width = max(map(display_width, names), default=0)
    for name, value in names.items():
        say(value, lead=f"  {pad(name, width)}  ")
