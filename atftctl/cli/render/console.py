"""Results as people read them. Plain text; colour only on a terminal, and never with NO_COLOR."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from atftctl.cli.terminal import printable


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns; on a terminal by rich, that folds what is too wide, else tab by tab for a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(map(printable, row)) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="" if os.environ.get("NO_COLOR") else "dim")
    for name in head:
        grid.add_column(name, overflow="fold", no_wrap=name in ("operation", "snapshot"))
    for row in rows:
        grid.add_row(*map(printable, row))
    Console(highlight=False, markup=False, no_color=bool(os.environ.get("NO_COLOR")), style="").print(grid)
