"""What a person sees of a run: a bar on a terminal; elsewhere nothing, the log has its lines."""

from __future__ import annotations

import sys
from typing import Any


class ProgressBar:
    """Steps done, speed, loss, last RankIC. On a terminal only, and only of the lead."""

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
            TextColumn("{task.fields[words]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
        )

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("step", total=self._total, words="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, step: int, total: int, words: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=step, total=total, words=words)
