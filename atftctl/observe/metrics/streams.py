"""Read the rows of files of metrics, some at a time, in whatever format they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from itertools import takewhile

from atftctl.domain.metric_rules import MetricsPlace
from atftctl.domain.run_rows import Row
from atftctl.host.errors import HostError
from atftctl.host.files.reading import open_regular, read_bytes
from atftctl.observe.metrics.files import MetricsFile, begin_of
from atftctl.observe.metrics.formats.decoder import Columns, Decoder
from atftctl.observe.metrics.formats.detect import decoder_of
from atftctl.observe.metrics.formats.trainer_state import LIMIT, rows_of_state
from atftctl.protocol.messages import tr

PIECE = 1 << 20  # bytes that are read at once
HEAD = 64 << 10  # bytes of the first line at most
LARGEST = 4 * PIECE  # bytes of a record at most
COMPARED = 3  # histories from before the start of a run: reading each takes as long as reading the run's own
Progress = Callable[[int], None]


class Stream:
    """The rows of one file that grows, from a place on. `offset`: how far it was read."""

    def __init__(self, file: MetricsFile, columns: Columns, offset: int = 0) -> None:
        self.offset = offset
        self._format, self._columns = file.format, columns.of(file.prefix)
        self._decoder: Decoder | None = None

    def read(self, file: BufferedReader, progress: Progress | None = None) -> Iterator[list[Row]]:
        """The rows that were added, some at a time, of the file that is open here."""
        size = os.fstat(file.fileno()).st_size
        decoder = self._decoder or self._begin(file)
        length = PIECE
        while self.offset < size:
            data = os.pread(file.fileno(), min(length, size - self.offset), self.offset)
            rows, used = decoder.take(data)
            if not data or self.offset + used > size:
                break  # the rest of a long record is not written yet
            if not used:
                if len(data) < length or length >= LARGEST:
                    break
                length *= 2
                continue
            length, self.offset = PIECE, self.offset + used
            if progress:
                progress(used)
            yield rows

    def _begin(self, file: BufferedReader) -> Decoder:
        handle, offset = file.fileno(), self.offset
        decoder = decoder_of(self._format, self._columns)
        is_text = self._format in ("csv", "jsonl")
        whole = not offset or (is_text and os.pread(handle, 1, offset - 1) == b"\n")
        first = decoder.begin(os.pread(handle, HEAD, 0), middle=not whole)
        self.offset = max(offset, first)
        self._decoder = decoder
        return decoder


def rows_of_file(
    file: MetricsFile, columns: Columns, start: int = 0, progress: Progress | None = None
) -> Iterator[list[Row]]:
    """The rows of a file from an offset on, some at a time. Raises OSError and HostError where it can't be read."""
    if file.is_whole:
        yield state_rows(file, columns)
        if progress:
            progress(file.size)
        return
    with open_regular(file.path) as opened:
        yield from Stream(file, columns, start).read(opened, progress)


def state_rows(file: MetricsFile, columns: Columns) -> list[Row]:
    """The rows of a file that is written as a whole. Raises OSError and HostError where it can't be read."""
    if file.size > LIMIT:
        raise HostError(tr("{path} is larger than {size} MB", path=file.name, size=LIMIT >> 20))
    try:
        return rows_of_state(read_bytes(file.path, LIMIT), columns.of(file.prefix))
    except ValueError:
        raise HostError(tr("{path} is no whole trainer_state.json with a log_history", path=file.name)) from None


def inherited(rows: Sequence[Row], file: MetricsFile, files: Sequence[MetricsFile], places: Sequence[MetricsPlace],
              columns: Columns) -> int:  # fmt: skip
    """How many rows at the begin of a file that is written as a whole were there before the places were recorded: the
    most that it shares with one of the newest files of that time."""
    known, most = {place.inode: place for place in places}, 0
    old = [other for other in files if other.is_whole and other.path != file.path and other.inode in known]
    for other in [other for other in old if begin_of(other, known) is None][-COMPARED:]:
        try:
            before = state_rows(other, Columns(columns.step, columns.wanted))
        except (OSError, HostError):
            continue
        pairs = zip(rows, before, strict=False)
        most = max(most, sum(1 for _ in takewhile(lambda pair: _same(*pair), pairs)))
    return most


def _same(row: Row, other: Row) -> bool:
    return row.step == other.step and repr(row.values) == repr(other.values)
