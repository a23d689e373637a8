"""What detectors are given and what they return.

States are named tuples of plain values, so that they can be written as JSON and read again exactly. They are no
`record`s: a detector makes a new state for each row, and a named tuple is made ten times as fast.
"""

from __future__ import annotations

from typing import NamedTuple

from atftctl.protocol.messages import Message


class Finding(NamedTuple):
    """An alarm that begins at this step. `detector`: its name. `column`: of the metrics. `text`: for people."""

    detector: str
    column: str
    step: int
    text: Message
