"""The counter of generations, `.atftctl/generation`: the number of the newest start of a trainer, as decimal digits.

The counter never goes back. Where it is missing or damaged, it goes on after the newest number that is known from
elsewhere: the record of the last trainer, the history, the folders of earlier generations, and what trainers have
written: events, metrics in CSV or JSON lines under any name, and names of checkpoints. Event files of TensorBoard and
`trainer_state.json` hold no such number.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from atftctl import protocol
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.logs import open_log, tail
from atftctl.host.files.matching import matching
from atftctl.host.files.reading import read_bytes, try_read
from atftctl.protocol import checkpoints, generations
from atftctl.protocol.messages import Message, tr
from atftctl.state import history, process_record
from atftctl.state.layout import Layout

LINES = 2000  # of each log, the newest; where there is a counter, no log is read
PLAUSIBLE = 1_000_000  # starts since the newest number that we have written; a log may hold any number
MOST_FILES = 200  # with metrics
JSON_LINES = (".jsonl", ".ndjson")
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
    for name, _ in islice(_metrics_files(layout), MOST_FILES):
        yield from _in_lines(layout, name) if name.endswith(JSON_LINES) else _in_table(layout, name)
    for entry in history.read(layout):
        yield from filter(generations.is_number, (entry.get("generation"),))
    yield from _in_names(layout)


def _metrics_files(layout: Layout) -> Iterator[tuple[str, object]]:
    usual = (".csv", *JSON_LINES)
    for name in dict.fromkeys((protocol.METRICS, *layout.metrics.files)):
        yield from matching(layout.root, name, lambda path: path.endswith(usual))


def _in_table(layout: Layout, name: str) -> Iterator[int]:
    try:
        with open_log(layout.root, name) as file:
            columns = file.readline(HEADER_LIMIT).decode("utf-8", "replace").strip().split(",")
    except (OSError, HostError):
        return
    if protocol.GENERATION_COLUMN in columns:
        at = columns.index(protocol.GENERATION_COLUMN)
        rows = (line.split(",") for line in tail(layout.root, name, LINES))
        yield from (generations.parse(row[at]) for row in rows if len(row) == len(columns))


def _in_lines(layout: Layout, name: str) -> Iterator[int]:
    for line in tail(layout.root, name, LINES):
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            yield from filter(
                generations.is_number, (row.get(protocol.GENERATION_COLUMN),) if isinstance(row, dict) else ()
            )


def _in_names(layout: Layout) -> Iterator[int]:
    """The numbers in the names of checkpoints."""
    try:
        names = os.listdir(layout.root / checkpoints.HISTORY)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    yield from (parsed[1] for name in names if (parsed := checkpoints.parse_history_name(name)))
