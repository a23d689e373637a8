"""The live screen of a watcher: curves, detectors and events, drawn anew in place."""

from __future__ import annotations

import shutil
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from atftctl.cli.progress import PARTS
from atftctl.cli.render.curves import charset
from atftctl.cli.render.translation import localize
from atftctl.cli.render.watch_curves import Curves
from atftctl.cli.render.watch_screen import Screen, budget_text, screen_lines
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from atftctl.operations.monitoring.watch import Seen
    from atftctl.operations.monitoring.watch_lines import WatchLine
    from atftctl.operations.project import Project

EVENTS = 100  # that are kept
STYLES = {"": "", "strong": "bold", "quiet": "dim", "good": "green", "warn": "yellow", "bad": "bold red"}


class LiveScreen:
    """The screen, and the reporter of what the watcher does: its progress is a line of the screen. Progress that can't
    be shown, since the terminal was closed, stops no rollback."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._curves = Curves(project)
        self._events: deque[WatchLine] = deque(maxlen=EVENTS)
        self._seen: Seen | None = None
        self._doing, self._done, self._total = "", 0, 0
        self._drawn = 0.0
        self._live: Live | None = None

    def __enter__(self) -> LiveScreen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        if self._live is not None:
            with suppress(OSError, ValueError):
                self._live.stop()

    def show(self, seen: Seen) -> None:
        """Show a look."""
        self._seen, self._doing = seen, ""
        self._curves.take(seen)
        self._events += [line for line in seen.lines if line.kind != "status"]
        self._draw()

    def part(self, name: str) -> None:
        """A part of a rollback begins."""
        self._doing, self._done, self._total = localize(PARTS.get(name, name)), 0, 0
        self._progress()

    def note(self, text: str) -> None:
        """A message."""
        self._doing = localize(text)
        self._progress()

    def expect(self, total: int) -> None:
        """So many bytes will be read or copied."""
        self._done, self._total = 0, total

    def progress(self, done: int) -> None:
        """So many bytes more are done."""
        self._done += done
        if self._doing and self._total and time.monotonic() - self._drawn > 1.0:
            self._progress()

    def reached(self, text: str) -> None:
        """How far a part is."""
        self._doing = localize(text)
        self._progress()

    def _progress(self) -> None:
        with suppress(OSError, ValueError):
            self._draw()

    def _draw(self) -> None:
        if self._seen is None:
            return
        self._drawn = time.monotonic()
        live = self._live or self._begin()
        live.update(self._text(), refresh=True)

    def _begin(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        return self._live

    def _text(self) -> Text:
        from rich.text import Text

        assert self._seen is not None
        size = shutil.get_terminal_size()
        decision, most = self._seen.decision, self._project.runbook.acting.rollbacks
        budget = budget_text(decision.left if decision else None, most)
        doing = tr("{part} …", part=self._doing) if self._doing else ""
        screen = Screen(
            self._project.runbook.service, self._seen, self._curves.curves(), tuple(self._events), budget, doing
        )
        text = Text(no_wrap=True, overflow="crop", end="")
        lines = screen_lines(screen, width=size.columns, height=size.lines, charset=charset())
        for number, (line, tone) in enumerate(lines):
            text.append(line + ("\n" if number + 1 < len(lines) else ""), style=STYLES[tone])
        return text
