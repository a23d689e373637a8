"""Dates in other formats than 2020-01-31: read if only one reading fits, refused if two do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

NUMERIC = re.compile(r"(\d{1,4})([/.\- ])(\d{1,2})\2(\d{1,4})", re.ASCII)
# What may follow a date: a time and its offset from UTC. The date is used as it is written.
TIME = re.compile(
    r"[T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?([AaPp][Mm]))? ?(Z|UTC|GMT|[+-]\d{2}:?(\d{2})?)?\Z", re.ASCII
)
EIGHT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
NAMED = re.compile(
    r"(?:[A-Za-z]{3,9},? )?(?:(?P<before>\d{1,2})[ -])?(?P<month>[A-Za-z]{3,9})\.?(?:[ -](?P<after>\d{1,2}))?"
    r",?[ -](?P<year>\d{4})",
    re.ASCII,
)
NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: number for number, name in enumerate(NAMES, 1)}
ORDERS = ("ymd", "dmy", "mdy")


@dataclass(frozen=True)
class ParsedDates:
    """`days` [texts] as datetime64[D]; or `wrong`, the position of a text that is not a clear date, and the reason."""

    days: npt.NDArray[np.datetime64]
    wrong: int | None = None
    reason: str = ""


class Dates:
    """Reads the dates of one file. An order of day and month that one part of the file proves holds for the rest."""

    def __init__(self) -> None:
        self._orders = list(ORDERS)

    def read(self, written: list[str]) -> ParsedDates:
        """Read these distinct texts."""
        texts = [TIME.sub("", text.strip()) for text in written]
        numeric = [at for at, text in enumerate(texts) if NUMERIC.fullmatch(text)]
        if not numeric:
            return _by_name(texts)
        if len(numeric) < len(texts):
            wrong = next(at for at in range(len(texts)) if at not in set(numeric))
            no_date = _by_name(texts[wrong : wrong + 1]).wrong is not None
            return _failed(wrong, "is no date" if no_date else "is written in another format than the other dates")
        readings = {order: [_day(text, order) for text in texts] for order in self._orders}
        fitting = {order: days for order, days in readings.items() if None not in days}
        if not fitting:
            wrong = next((at for at in range(len(texts)) if not any(days[at] for days in readings.values())), 0)
            short = all(len(number) < 3 for number in re.split(r"\D", texts[wrong]))
            reason = "has a year of two digits; write four" if short else "is no date in the format of the other dates"
            return _failed(wrong, reason)
        self._orders = list(fitting)
        first, *others = fitting.values()
        for days in others:
            for at, (day, other) in enumerate(zip(first, days, strict=True)):
                if day != other:
                    return _failed(at, f"can be {day} or {other}; write it as {day}")
        return ParsedDates(np.array(first, "datetime64[D]"))


def _day(text: str, order: str) -> date | None:
    """Return the date of three numbers in this order; None if it is no date.

    The year must have four digits: the century of a year of two digits is not known.
    """
    match = NUMERIC.fullmatch(text)
    if match is None:
        return None
    parts = dict(zip(order, (match[1], match[3], match[4]), strict=True))
    if len(parts["y"]) != 4 or max(len(parts["m"]), len(parts["d"])) > 2:
        return None
    try:
        return date(int(parts["y"]), int(parts["m"]), int(parts["d"]))
    except ValueError:
        return None


def _by_name(texts: list[str]) -> ParsedDates:
    """Read dates with eight digits or a named month: 20200131, 31 Jan 2020, January 31, 2020."""
    days: list[date] = []
    for at, text in enumerate(texts):
        day = _named_day(text)
        if day is None:
            return _failed(at, "is no date")
        days.append(day)
    return ParsedDates(np.array(days, "datetime64[D]"))


def _named_day(text: str) -> date | None:
    if match := EIGHT.fullmatch(text):
        year, month, day = match.groups()
    elif match := NAMED.fullmatch(text):
        year, day = match["year"], match["before"] or match["after"] or "0"
        month = str(MONTHS.get(match["month"][:3].lower(), 0))
    else:
        return None
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _failed(wrong: int, reason: str) -> ParsedDates:
    return ParsedDates(np.array([], "datetime64[D]"), wrong, reason)
