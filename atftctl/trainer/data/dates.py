"""Dates that are not written 2020-01-31: read where one reading alone fits, refused where two do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt

NUMERIC = re.compile(r"(\d{1,4})([/.\-])(\d{1,2})\2(\d{1,4})", re.ASCII)
# What may stand behind a day: a time, and how far that is from Greenwich. The day is the one that is written.
TIME = re.compile(
    r"[T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?([AaPp][Mm]))? ?(Z|UTC|GMT|[+-]\d{2}:?(\d{2})?)?\Z", re.ASCII
)
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
            return _nothing(wrong, "is no date, as the other dates of this file are written")
        self._orders = list(fitting)
        first, *others = fitting.values()
        for days in others:
            for at, (one, other) in enumerate(zip(first, days, strict=True)):
                if one != other:
                    return _nothing(at, f"can be {one} or {other}; write it as {one}")
        return Found(np.array(first, "datetime64[D]"))


def _day(text: str, order: str) -> date | None:
    """The day of three numbers in this order; None where it is none. A year has four digits, or two for 20.."""
    match = NUMERIC.fullmatch(text)
    if match is None:
        return None
    parts = dict(zip(order, (match[1], match[3], match[4]), strict=True))
    if len(parts["y"]) not in (2, 4) or max(len(parts["m"]), len(parts["d"])) > 2:
        return None
    year = int(parts["y"]) + (2000 if len(parts["y"]) == 2 else 0)
    try:
        return date(year, int(parts["m"]), int(parts["d"]))
    except ValueError:
        return None


def _by_name(texts: list[str]) -> Found:
    """20200131, 31 Jan 2020 and the like: what pandas reads without a doubt."""
    import pandas as pd

    days = []
    for at, text in enumerate(texts):
        if text.isascii() and text.isdigit():
            if len(text) != 8:
                return _nothing(at, "is no date")
            try:
                days.append(datetime.strptime(text, "%Y%m%d").date())  # noqa: DTZ007 - a day has no zone
            except ValueError:
                return _nothing(at, "is no date")
            continue
        found = pd.to_datetime(text, errors="coerce") if text.isascii() else pd.NaT
        if found is pd.NaT or not re.search(r"\d{4}", text):
            return _nothing(at, "is no date")
        days.append(found.date())
    return Found(np.array(days, "datetime64[D]"))


def _nothing(wrong: int, reason: str) -> Found:
    return Found(np.array([], "datetime64[D]"), wrong, reason)
