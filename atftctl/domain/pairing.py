"""What the values of quality are paired by, and what people call them."""

from __future__ import annotations

from typing import Literal

from atftctl.protocol.messages import Message, tr, trn

PairBy = Literal["date", "example", "none"]
# The key of a probe's answer that holds the values, by how they are paired; also the order in which one is chosen.
KEYS: dict[PairBy, str] = {"date": "by_date", "example": "by_example", "none": "values"}


def counted(pair_by: PairBy, count: int) -> Message:
    """How many values there are, such as "60 dates"."""
    if pair_by == "date":
        return trn("{count} date", "{count} dates", count)
    if pair_by == "example":
        return trn("{count} example", "{count} examples", count)
    return trn("{count} value", "{count} values", count)


def named(pair_by: PairBy) -> Message:
    """What the values are called, such as "dates"."""
    return {"date": tr("dates"), "example": tr("examples"), "none": tr("values")}[pair_by]
