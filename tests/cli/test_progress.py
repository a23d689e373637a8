"""The line that shows what goes on."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress

import pytest

from atftctl.cli import progress
from tests.support.projects import ROOT


def test_each_part_of_an_operation_is_named_for_people() -> None:
    """Else the screen of a watcher that rolls back says "grade …"."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "atftctl/operations").rglob("*.py")]
    names = {name for text in sources for name in re.findall(r'\.part\("([^"{}]+)"', text)}
    assert {"stop", "grade", "incident"} <= names <= set(progress.PARTS), names - set(progress.PARTS)


def test_a_line_that_comes_too_late_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer has fired when its part ends: nothing may be drawn over the question that follows."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "VISIBLE_AFTER_S", 3600.0)
    reporter = progress.ProgressReporter(quiet=False)
    reporter.part("decide")
    assert reporter._timer is not None
    fired = reporter._timer.function
    reporter.stop()
    fired()
    assert reporter._status is None


def test_a_part_that_lasts_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "VISIBLE_AFTER_S", 0.01)
    reporter = progress.ProgressReporter(quiet=False)
    reporter.part("decide")
    assert reporter._timer is not None
    reporter._timer.join()
    shown = reporter._status
    reporter.stop()
    assert shown is not None and reporter._status is None


def test_a_note_in_the_first_second_leaves_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "VISIBLE_AFTER_S", 0.2)
    reporter = progress.ProgressReporter(quiet=False)
    reporter.part("decide")
    timer = reporter._timer
    reporter.note("a line that stays")
    assert timer is not None and reporter._timer is timer
    timer.join()
    shown = reporter._status
    reporter.note("another one")
    assert shown is not None and reporter._status is not None, "the line is drawn again below it"
    reporter.stop()
    assert reporter._status is None


def test_a_reader_that_has_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`atftctl reenable --next 2>&1 | head -1` stopped in the middle of a phase, with exit code 5."""
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w", encoding="utf-8", closefd=False) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        progress.ProgressReporter(quiet=False).note("phase 1 of 3 (Low risk): watching")
        monkeypatch.undo()
        with suppress(OSError):
            stream.close()
    os.close(writes)
