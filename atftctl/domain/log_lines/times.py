"""The time of a line of a log."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

DAY = 86_400.0
NEARLY = 200  # characters at the beginning of a line in which its time must be
# What may stand before the time: brackets, the name of a process ("[rank0]: ", "trainer-1  | "), or a key.
_LEAD = (
    r"""[\s\[({<"']{0,3}(?:[A-Za-z][\w.-]{0,24}\]?\s{0,8}[:|]\s?|"""
    r"""(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\]?\s{1,8})?[\s\[({<"']{0,3}"""
)
_CLOCK = r"\d\d:\d\d:\d\d"
_ISO = rf"\d{{4}}[-/]\d\d[-/]\d\d[T _]{_CLOCK}(?:[.,]\d{{1,9}})?(?:\s?Z\b|\s?[+-]\d\d:?\d\d\b)?"
_NAMES = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_SYSLOG = rf"(?:{_NAMES}) [ \d]\d {_CLOCK}(?:\.\d{{1,9}})?"
_GLOG = rf"[IWEF]\d{{4}} {_CLOCK}(?:\.\d{{1,9}})?"
_EPOCH = r"1[5-9]\d{8}(?:\.\d{1,9})?(?![\d.])|1[5-9]\d{11}(?![\d.])"  # 2017 to 2033
_ANY = rf"(?P<iso>{_ISO})|(?P<syslog>{_SYSLOG})|(?P<glog>{_GLOG})|(?P<epoch>{_EPOCH})"
_PLAIN = re.compile(rf"(?:{_LEAD})(?:{_ANY})[\])}}>\"']?")
_KEYED = re.compile(
    rf"""\{{?.{{0,120}}?(?:\b|["'@])(?:time|timestamp|ts|asctime|t)["']?\s?[=:]\s?["']?(?:{_ANY})["']?"""
)
_MONTHS = {name: number for number, name in enumerate(_NAMES.split("|"), 1)}
_PARTS = re.compile(r"\d+")
_ZONE = re.compile(r"([+-])(\d\d):?(\d\d)$")


def split_time(text: str, written: float = 0.0) -> tuple[float | None, str]:
    """(the time at the beginning of a line, in Unix seconds; the text after it). None: it begins with no time.

    Known are ISO 8601 and its relatives, the time of syslog and of glog, Unix seconds and milliseconds, and such a time
    as a key of a JSON object or of `key=value`. A time without a zone is local time. written: when the file was last
    written, for times without a year; 0: not known, and such times are none.
    """
    match = _PLAIN.match(text, 0, NEARLY)
    if match is None and text[:1] in "{tld\"'@" and text:
        match = _KEYED.match(text, 0, NEARLY)
        return (_seconds(match, written), text) if match else (None, text)
    if match is None:
        return None, text
    seconds = _seconds(match, written)
    return (None, text) if seconds is None else (seconds, text[match.end() :].lstrip(" ,:|-"))


def _seconds(match: re.Match[str], written: float) -> float | None:
    kind = match.lastgroup or ""
    return _parsed(kind, match[kind], written if kind in ("syslog", "glog") else 0.0)


@lru_cache(maxsize=512)
def _parsed(kind: str, text: str, written: float) -> float | None:
    """Unix seconds of the text of a time; None where there is no such day or hour."""
    with suppress(ValueError, OverflowError, OSError):
        if kind == "epoch":
            number = float(text)
            return number / 1000 if number >= 1e12 else number
        if kind == "iso":
            return _iso(text)
        return _without_year(kind, text, written) if written else None
    return None


def _iso(text: str) -> float:
    zone = _ZONE.search(text[19:])
    stamp = datetime.fromisoformat(f"{text[:4]}-{text[5:7]}-{text[8:10]}T{text[11:19]}")
    digits = _PARTS.match(text, 20) if text[19:20] in (".", ",") and len(text) > 20 else None
    fraction = float(f"0.{digits[0]}") if digits else 0.0
    if text.endswith("Z"):
        stamp = stamp.replace(tzinfo=UTC)
    elif zone:
        minutes = int(zone[2]) * 60 + int(zone[3])
        stamp = stamp.replace(tzinfo=timezone(timedelta(minutes=-minutes if zone[1] == "-" else minutes)))
    return stamp.timestamp() + fraction


def _without_year(kind: str, text: str, written: float) -> float:
    """The latest time with this month, day and hour that is not after the file's last write (by over a day)."""
    if kind == "glog":
        month, day, clock = int(text[1:3]), int(text[3:5]), text[6:]
    else:
        month, day, clock = _MONTHS[text[:3]], int(text[4:6]), text[7:]
    hour, minute, second = (int(part) for part in clock[:8].split(":"))
    fraction = float(f"0{clock[8:]}") if clock[8:] else 0.0
    year = datetime.fromtimestamp(written + DAY).year  # noqa: DTZ006 - local time, as the log's
    for candidate in (year, year - 1, year - 2, year - 3, year - 4):  # 29 February has a year of its own
        with suppress(ValueError):
            seconds = datetime(candidate, month, day, hour, minute, second).timestamp() + fraction  # noqa: DTZ001
            if seconds <= written + DAY:
                return seconds
    raise ValueError(text)
