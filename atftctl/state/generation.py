"""The counter of generations, `.atftctl/generation`: the number of the newest start of a trainer, as decimal digits.

The counter never goes back. Where it is missing or damaged, it goes on after the newest number that is known from
elsewhere: the record of the last trainer, the folders of earlier generations, and what trainers have written.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress

from atftctl import protocol
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.logs import open_log, tail
from atftctl.host.files.reading import read_bytes, try_read
from atftctl.protocol import generations
from atftctl.protocol.messages import Message, tr
from atftctl.state import process_record
from atftctl.state.layout import Layout

LINES = 2000  # of each log, the newest; where there is a counter, no log is read
PLAUSIBLE = 1_000_000  # starts since the newest number that we have written; a log may hold any number
HEADER_LIMIT = 64 << 10  # bytes


def take(layout: Layout) -> int:
    """Return the number of a new generation, which is on the disk by then. Call this under the project's lock. A number
    is left out where somebody else has a folder of that name.

    Raises HostError where there is no higher number; OSError.
    """
    number = newest(layout) + 1
    while os.path.lexists(layout.staging / str(number)):
        number += 1
    if number > generations.LARGEST:
        raise HostError(_at_end(layout))
    write_durably(layout.generation, b"%d\n" % number)
    return number


def newest(layout: Layout) -> int:
    """The number of the newest generation; 0 where no trainer was ever started."""
    counted = _counter(layout)
    known = max(counted, _recorded(layout), *_folders(layout).values())
    logged = () if counted else _written(layout)
    return max(known, *(number for number in logged if number <= known + PLAUSIBLE), 0)


def _at_end(layout: Layout) -> Message:
    """Say that there is no higher number, and what holds the highest one: all of that keeps the next start from having
    a number."""
    numbers = sorted(_folders(layout).items())
    last = [f"{protocol.STAGING}/{name}" for name, number in numbers if number == generations.LARGEST]
    if _recorded(layout) == generations.LARGEST:
        last.append(str(layout.process.relative_to(layout.root)))
    text = tr(
        "the counter of the trainer's starts is at its end ({number}); write the number of the last start into {path}",
        number=generations.LARGEST,
        path=protocol.COUNTER,
    )
    if not last:
        return text
    return tr("{problem}, and remove what has that number, too: rm -r {paths}", problem=text, paths=shlex.join(last))


def damage(layout: Layout) -> str:
    """Why the counter can't be used; "" where it can, or where no trainer was started yet."""
    try:
        text = read_bytes(layout.generation, generations.LONGEST).decode("ascii", "replace")
    except FileNotFoundError:
        return ""
    except (OSError, HostError) as error:
        return str(error)
    return "" if generations.parse(text) else tr("{path} holds no number", path=protocol.COUNTER)


def _counter(layout: Layout) -> int:
    with suppress(OSError, HostError):
        return generations.parse(read_bytes(layout.generation, generations.LONGEST).decode("ascii", "replace"))
    return 0


def _recorded(layout: Layout) -> int:
    record = process_record.read(layout)
    return record.generation if record and generations.is_number(record.generation) else 0


def _folders(layout: Layout) -> dict[str, int]:
    """The numbers whose folders are there, also renamed, by the folder's name."""
    try:
        names = os.listdir(layout.staging)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return {}
    numbers = {name: generations.parse(name.partition(generations.FENCED)[0]) for name in names}
    return {name: number for name, number in numbers.items() if number and _is_marked(layout, name)}


def _is_marked(layout: Layout, name: str) -> bool:
    return generations.is_mark(try_read(layout.staging / name / generations.MARK) or b"")


def _written(layout: Layout) -> Iterator[int]:
    """The numbers that trainers have written into their events and metrics: their own, and newer ones that they met."""
    for name in (protocol.EVENTS, f"{protocol.EVENTS}.1"):
        for line in tail(layout.root, name, LINES):
            with suppress(ValueError, RecursionError):
                event = json.loads(line)
                numbers = (event.get("generation"), event.get("newer")) if isinstance(event, dict) else ()
                yield from filter(generations.is_number, numbers)
    yield from _in_metrics(layout)


def _in_metrics(layout: Layout) -> Iterator[int]:
    try:
        with open_log(layout.root, protocol.METRICS) as file:
            columns = file.readline(HEADER_LIMIT).decode("utf-8", "replace").strip().split(",")
    except (OSError, HostError):
        return
    if protocol.GENERATION_COLUMN in columns:
        at = columns.index(protocol.GENERATION_COLUMN)
        rows = (line.split(",") for line in tail(layout.root, protocol.METRICS, LINES))
        yield from (generations.parse(row[at]) for row in rows if len(row) == len(columns))
