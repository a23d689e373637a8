"""The generation of a trainer: the number of its start. Read by both sides, with the standard library only.

Numbers begin with 1. 0 means that the number is not known, as for a trainer that was started by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from atftctl.protocol import COUNTER, GENERATION

LARGEST = 999_999_999
LONGEST = 64  # bytes that are read of the counter's file
NUMBER = re.compile(r"[1-9]\d{0,8}")


def parse(text: str) -> int:
    """The number that a text holds, with or without a line break; 0 where it holds no number from 1 to LARGEST."""
    text = text.removesuffix("\n")
    return int(text) if text.isascii() and NUMBER.fullmatch(text) else 0


def is_number(value: object) -> bool:
    """Is this the number of a generation?"""
    return type(value) is int and 1 <= value <= LARGEST


def own(environment: Mapping[str, str]) -> int:
    """The number that this process was given when it was started; 0 where it was given none."""
    return parse(environment.get(GENERATION, ""))


def newest(root: Path) -> int:
    """The number of the newest start in this run folder, by the counter; 0 where that can't be read."""
    try:
        handle = os.open(root / COUNTER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return parse(os.read(handle, LONGEST).decode("ascii", "replace"))
    except OSError:
        return 0
    finally:
        os.close(handle)
