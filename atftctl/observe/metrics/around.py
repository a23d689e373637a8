"""Find the rows of the metrics around an operation: with the standard library only, and in bounded time and memory.

Rows have no times. An operation keeps the newest rows of its time as evidence, so that the place in the file where it
came is where these rows end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from atftctl import protocol
from atftctl.domain.incident import Placed
from atftctl.host.errors import HostError, reason
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.csv_lines import ROW_LIMIT, header_of
from atftctl.observe.metrics.placing import first_run, rising, split, why_not_placed
from atftctl.observe.metrics.rotation import is_compressed, parts
from atftctl.observe.metrics.run_rows import rows_in
from atftctl.state.layout import Layout

LIMIT = 8 << 20  # bytes of rows that are read on each side
SEARCH = 512 << 20  # bytes that are searched for the place, the newest
BLOCK = 4 << 20
NEEDLE = 200  # lines of the evidence that are searched for


class Text(NamedTuple):
    """Whole lines of a file. `header`: the columns of the first rows. `earlier`, `later`: there are more lines before
    and after these."""

    lines: bytes = b""
    header: tuple[str, ...] = ()
    earlier: bool = False
    later: bool = False


def around(layout: Layout, kept: bytes, wanted: Sequence[str], generation: int, first_step: int | None) -> Placed:
    """The rows around an operation.

    kept: the metrics in its evidence. wanted: the columns that are needed. generation: of the trainer that it started;
    0 for none, or where it is not known. first_step: the first step of this trainer; None where there is none.
    Raises nothing: what can't be read is said in `problem`.
    """
    if not layout.metrics.is_default:
        from atftctl.observe.metrics import around_any

        return around_any.around(layout, kept, wanted, generation, first_step)
    files = [path for path in parts(layout.root, protocol.METRICS) if not is_compressed(path)]
    whole = Text(kept[: kept.rfind(b"\n") + 1])
    place, problem = None, ""
    try:
        place = _place(files, _needle(whole.lines))
        sides = _sides(files, *place) if place else (whole, _newest(files) if generation else Text())
    except (OSError, HostError) as error:
        sides, problem = (whole, Text()), reason(error)
    if not problem and place is None:
        problem = why_not_placed(kept, bool(files), protocol.METRICS)
    (old, torn), (new, also_torn) = (rows_in(side.lines, side.header, wanted) for side in sides)
    before, after = split(old, new, generation, first_step, placed=place is not None)
    cut = sides[0].earlier or sides[1].later
    return Placed(rising(before), first_run(after), torn + also_torn, cut, kept=place is None, problem=problem)


def _needle(kept: bytes) -> bytes:
    """What is searched for: the last lines of the evidence without the very last, which may have been unfinished."""
    lines = kept.split(b"\n")[:-2][-NEEDLE:]
    lines = [line for line in lines if not header_of(line)]
    return b"\n".join(lines) + b"\n" if lines else b""


def _place(files: Sequence[Path], needle: bytes) -> tuple[int, int] | None:
    """(number of the file, byte offset in it) where the needle ends, at its last occurrence; None where it is in none
    of the files, or is empty."""
    room = SEARCH
    for number in reversed(range(len(files))) if needle else ():
        with open_regular(files[number]) as file:
            end = os.fstat(file.fileno()).st_size
            while end > 0 and room > 0:
                begin = max(0, end - BLOCK)
                file.seek(begin)
                data = file.read(end - begin + len(needle))
                if (at := data.rfind(needle)) >= 0:
                    return number, begin + at + len(needle)
                room, end = room - BLOCK, begin
    return None


def _sides(files: Sequence[Path], number: int, offset: int) -> tuple[Text, Text]:
    """The lines before and after a place; from the neighbouring files, too, where this one has few."""
    before = _lines(files[number], max(0, offset - LIMIT), offset)
    if offset < LIMIT and number:
        before = _joined(_tail(files[number - 1], LIMIT - offset), before)
    after = _lines(files[number], offset, offset + LIMIT)
    for path in files[number + 1 :]:
        if after.later or len(after.lines) >= LIMIT:
            break
        after = _joined(after, _lines(path, 0, LIMIT - len(after.lines)))
    return before, after


def _newest(files: Sequence[Path]) -> Text:
    return _tail(files[-1], LIMIT) if files else Text()


def _tail(path: Path, room: int) -> Text:
    size = path.lstat().st_size
    return _lines(path, max(0, size - room), size)


def _lines(path: Path, begin: int, end: int) -> Text:
    """The whole lines of a part of a file."""
    with open_regular(path) as file:
        header = header_of(file.readline(ROW_LIMIT))
        first = file.tell() if header else 0
        if begin > first:
            file.seek(begin - 1)
            file.readline(ROW_LIMIT)  # to the next begin of a line
        else:
            file.seek(first)
        data = file.read(max(0, end - file.tell()))
        size = os.fstat(file.fileno()).st_size
    return Text(data[: data.rfind(b"\n") + 1], header or (), begin > first, end < size)


def _joined(first: Text, second: Text) -> Text:
    """Two texts as one; the header of the second one stands between them."""
    head = (",".join(second.header) + "\n").encode() if second.header else b""
    return Text(first.lines + head + second.lines, first.header, first.earlier, second.later)
