"""Dates that are not written 2020-01-31: read where one reading alone fits, refused where two do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

NUMERIC = re.compile(r"(\d{1,4})([/.\- ])(\d{1,2})\2(\d{1,4})", re.ASCII)
# What may stand behind a day: a time, and how far that is from Greenwich. The day is the one that is written.
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
class Found:
    """`days` [words] as datetime64[D]; `wrong` is the word that is no date, or none that can be told, and why."""

    days: npt.NDArray[np.datetime64]
    wrong: int | None = None
    reason: str = ""


class Dates:
    """How one file writes its dates: an order of day and month that one part of it has shown holds for the rest."""

    def __init__(self) -> None:
        self._orders = list(ORDERS)

    def read(self, words: list[str]) -> Found:
        """The days of these distinct words."""
        texts = [TIME.sub("", word.strip()) for word in words]
        numeric = [at for at, text in enumerate(texts) if NUMERIC.fullmatch(text)]
        if not numeric:
            return _by_name(texts)
        if len(numeric) < len(texts):
            wrong = next(at for at in range(len(texts)) if at not in set(numeric))
            no_date = _by_name(texts[wrong : wrong + 1]).wrong is not None
            return _nothing(wrong, "is no date" if no_date else "is written otherwise than the dates beside it")
        readings = {order: [_day(text, order) for text in texts] for order in self._orders}
        fitting = {order: days for order, days in readings.items() if None not in days}
        if not fitting:
            wrong = next((at for at in range(len(texts)) if not any(days[at] for days in readings.values())), 0)
            short = all(len(one) < 3 for one in re.split(r"\D", texts[wrong]))
            why = "has a year of two digits; write four" if short else "is no date, as the others here are written"
            return _nothing(wrong, why)
        self._orders = list(fitting)
        first, *others = fitting.values()
        for days in others:
            for at, (one, other) in enumerate(zip(first, days, strict=True)):
                if one != other:
                    return _nothing(at, f"can be {one} or {other}; write it as {one}")
        return Found(np.array(first, "datetime64[D]"))


def _day(text: str, order: str) -> date | None:
    """The day of three numbers in this order; None where it is none. A year has four digits: which century one of two
    means is not known."""
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


def _by_name(texts: list[str]) -> Found:
    """20200131, 31 Jan 2020, January 31, 2020: a month that is named, or eight digits."""
    days: list[date] = []
    for at, text in enumerate(texts):
        found = _named_day(text)
        if found is None:
            return _nothing(at, "is no date")
        days.append(found)
    return Found(np.array(days, "datetime64[D]"))


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


def _nothing(wrong: int, reason: str) -> Found:
    return Found(np.array([], "datetime64[D]"), wrong, reason)
