"""Windows of dates, as `data.skip` names them: `2024-01-01..2024-01-15, 2024-03-04`."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from atftctl.trainer.errors import SettingsError

DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
EXAMPLE = "write it as 2024-01-01..2024-01-15, several separated by commas"


@dataclass(frozen=True)
class DateWindow:
    """The dates from `first` to `last`, both included, as ISO 8601: their order as texts is that of the days."""

    first: str
    last: str

    def holds(self, date: str) -> bool:
        return self.first <= date <= self.last

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first}..{self.last}"


def read_windows(key: str, text: str | None) -> tuple[DateWindow, ...]:
    """Read windows that are separated by commas: `FIRST..LAST`, or one date; none for None. `key`: of the setting, for
    the message. Raises SettingsError."""
    if text is None:
        return ()
    return tuple(_window(key, part.strip()) for part in text.split(","))


def _window(key: str, text: str) -> DateWindow:
    first, separator, last = (part.strip() for part in text.partition(".."))
    window = DateWindow(first, last if separator else first)
    for date in (window.first, window.last):
        if not _is_date(date):
            raise SettingsError(f"{key}: {text!r} is no window of dates; {EXAMPLE}")
    if window.first > window.last:
        raise SettingsError(f"{key}: {text} ends before it begins")
    return window


def _is_date(text: str) -> bool:
    if not DATE.fullmatch(text):
        return False
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True
