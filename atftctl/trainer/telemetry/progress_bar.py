"""The progress bar of a run. It is shown on a terminal only; elsewhere the lines of the log have to do."""

from __future__ import annotations

import sys
from typing import Any


class ProgressBar:
    """Shows steps done, time left, loss and best RankIC. With `shown=False`, or without a terminal, it does nothing."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._bar: Any = None
        self._total = total
        self._task: Any = None
        if not shown or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("step", total=self._total, text="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, step: int, total: int, text: str) -> None:
        """Update the bar: `step` of `total` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, total=total, text=text)
