"""What each format of metrics offers: it turns the bytes of a file into rows, record by record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from atftctl.domain.run_rows import Row
from atftctl.protocol import GENERATION_COLUMN

MOST_COLUMNS = 1000
NAME_LIMIT = 200  # characters
STEPS = 1 << 53  # what no step reaches
NOT_FINITE = ("nan", "inf", "-inf", "infinity", "-infinity", "+inf", "+infinity")


@dataclass
class Counts:
    """What was left out. `damaged`: lines or records that no row can be; `no_header`: lines below no header; `no_step`:
    records without a step; `not_numbers`: values that are not numbers; `headers`: headers after the first of a file."""

    damaged: int = 0
    no_header: int = 0
    no_step: int = 0
    not_numbers: int = 0
    headers: int = 0

    def add(self, other: Counts) -> None:
        """Add what was left out elsewhere."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)


@dataclass
class Columns:
    """Which columns are read. `step`: the column with the training step. `wanted`: the columns that are needed; None
    for all. `prefix`: what the names of this file's columns begin with, beside their own name. `names`: those that were
    seen, in their order. `counts`: what was left out; `too_many`: columns that were."""

    step: str
    wanted: Sequence[str] | None = None
    prefix: str = ""
    names: dict[str, None] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    too_many: set[str] = field(default_factory=set)

    def of(self, prefix: str) -> Columns:
        """The same for a file with this prefix; what is seen and left out is counted together."""
        return replace(self, prefix=prefix)

    def add(self, other: Columns) -> None:
        """Add what was seen in another part."""
        for name in other.names:
            self.takes(name)
        self.counts.add(other.counts)
        self.too_many |= other.too_many

    def takes(self, name: str) -> bool:
        """Is the column with this whole name read? It is counted as seen."""
        if name not in self.names:
            if len(self.names) >= MOST_COLUMNS or len(name) > NAME_LIMIT:
                if len(self.too_many) < MOST_COLUMNS:
                    self.too_many.add(name)
                return False
            self.names[name] = None
        return self.wanted is None or name in self.wanted

    def row(self, values: Mapping[str, object]) -> Row | None:
        """The row of a record with these values, among them the step; None for one without a step."""
        step = whole(values.get(self.step))
        if step is None:
            self.counts.no_step += 1
            return None
        generation = whole(values.get(GENERATION_COLUMN)) or 0
        numbers = dict[str, float]()
        for name, value in values.items():
            if value is None or name in (self.step, GENERATION_COLUMN):
                continue
            number = number_of(value)
            if number is None:
                self.counts.not_numbers += 1
            elif self.takes(self.prefix + name):
                numbers[self.prefix + name] = number
        return Row(step, generation, numbers)


class Decoder(Protocol):
    """Turns the bytes of one file into rows."""

    def begin(self, head: bytes, *, middle: bool) -> int:
        """Prepare for a file. head: its first bytes. middle: what is taken first is not the begin of the file; the
        first record may be cut. Returns the number of bytes before the first record."""

    def take(self, data: bytes) -> tuple[list[Row], int]:
        """(the rows of the whole records that data begins with, how many bytes these records are). The rest is given
        again, with what follows it. More bytes than data has are a record that is too long to be read."""


def whole(value: object) -> int | None:
    """A whole number that a step can be; None for anything else."""
    if isinstance(value, str):
        value = number_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < STEPS and value == math.floor(value) else None


def number_of(value: object) -> float | None:
    """The number that a value of a record is; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        if "_" in text or not text:
            return None  # Python reads 1_0 as 10
        value = text.lower() if text.lower() in NOT_FINITE or text[-1].isdigit() or text[-1] == "." else None
    if not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
