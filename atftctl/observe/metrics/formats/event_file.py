"""Event files of TensorBoard: records with a length and two sums (CRC-32C), one after the other.

A record that is damaged is left out. The next one is then searched for: the sum of a length tells a begin of a record
from other bytes, so that a file may be read from its middle, too.
"""

from __future__ import annotations

import re
from struct import Struct

from atftctl.domain.run_rows import Row
from atftctl.observe.metrics.formats.crc32c import masked
from atftctl.observe.metrics.formats.decoder import STEPS, Columns
from atftctl.observe.metrics.formats.events import scalars

HEAD, TAIL = 12, 4  # bytes around the data of a record: length and its sum; the sum of the data
LONGEST = 1 << 20  # bytes of a record that is read: longer ones are graphs, images and the like
MOST = 1 << 40  # bytes that a record may have at all
KNOWN = 4096  # sums of lengths that are kept
_HEAD, _SUM = Struct("<QI"), Struct("<I")
_LENGTH = re.compile(rb"(?=.{5}\0\0\0)", re.DOTALL)  # lengths below MOST


class EventFile:
    """Takes records, and makes one row of the scalars of a step that follow each other."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._sums = dict[bytes, bool]()  # of heads of records: few lengths come again and again
        self._searching = False  # for the begin of a record

    def begin(self, head: bytes, *, middle: bool) -> int:
        """See Decoder."""
        del head
        self._searching = middle
        return 0

    def take(self, data: bytes) -> tuple[list[Row], int]:
        """See Decoder."""
        rows, at, end = list[Row](), 0, len(data)
        while at + HEAD <= end:
            head = data[at : at + HEAD]
            if not self._is_head(head):
                at, known = self._next(data, at)
                if not known:
                    break
                continue
            self._searching = False
            length = _HEAD.unpack(head)[0]
            if length > LONGEST:  # left for the next call, and skipped there: the rows before it are not held back
                at = at or HEAD + length + TAIL
                break
            behind = at + HEAD + length
            if behind + TAIL > end:
                break
            record = data[at + HEAD : behind]
            at = behind + TAIL
            if masked(record) == _SUM.unpack_from(data, behind)[0]:
                self._add(record, rows)
            else:
                self.columns.counts.damaged += 1
        return rows, at

    def _is_head(self, head: bytes) -> bool:
        """Is the sum of this length right?"""
        known = self._sums.get(head)
        if known is None:
            length, expected = _HEAD.unpack(head)
            known = length < MOST and masked(head[:8]) == expected
            if len(self._sums) < KNOWN:
                self._sums[head] = known
        return known

    def _next(self, data: bytes, at: int) -> tuple[int, bool]:
        """(where the next record begins, or how far was searched; was one seen?)"""
        if not self._searching:
            self._searching = True
            self.columns.counts.damaged += 1
        last = len(data) - HEAD
        for match in _LENGTH.finditer(data, at + 1, len(data)):
            if match.start() > last:
                break
            if self._is_head(data[match.start() : match.start() + HEAD]):
                return match.start(), True
        return max(at, last + 1), False

    def _add(self, record: bytes, rows: list[Row]) -> None:
        """Add the scalars of a record to the newest row, or to a new one."""
        try:
            step, values = scalars(record)
        except ValueError:
            self.columns.counts.damaged += 1
            return
        if not values:
            return
        if not 0 <= step < STEPS:
            self.columns.counts.no_step += 1
            return
        row = rows[-1].values if rows and rows[-1].step == step else None
        for tag, value in values:
            name = self.columns.prefix + tag
            if row is None or name in row:
                row = {}
                rows.append(Row(step, 0, row))
            if self.columns.takes(name):
                row[name] = value  # type: ignore[index]
