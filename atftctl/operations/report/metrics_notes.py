"""What is said about metrics: the headline, what could not be read, what the numbers do not show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from atftctl.decide.metrics.branches import MOST
from atftctl.decide.metrics.selection import Selection
from atftctl.domain.branches import Branch, history_of
from atftctl.domain.metrics_table import SetAside
from atftctl.domain.text import listed
from atftctl.protocol.messages import Message, joined, tr, trn

STEP = "step"
MINUTE, HOUR = 60, 3600


def headline(branches: Sequence[Branch], rows: int) -> Message:
    """How much there is, and what was discarded at what cost."""
    discarded = sum(branch.discarded for branch in branches)
    costs = [branch.cost_s for branch in branches if branch.discarded]
    text: list[str] = [
        trn("{count} row", "{count} rows", rows),
        trn("{count} branch", "{count} branches", len(branches)),
    ]
    if not discarded:
        text.append(tr("no step was discarded"))
    else:
        steps = trn("{count} step was discarded", "{count} steps were discarded", discarded)
        known = [cost for cost in costs if cost is not None]
        if len(known) == len(costs):
            steps = tr("{discarded} ({time} of training)", discarded=steps, time=duration(sum(known)))
        text.append(steps)
    return joined(", ", text)


def newest(source: str, rows: int) -> Message:
    """The headline of the newest rows alone."""
    return trn("the newest row of {path}", "the newest {count} rows of {path}", rows, path=source)


def nothing(source: str, aside: SetAside) -> Message:
    """The headline where there is no row, and why."""
    if aside.no_header:
        return tr("{path} has no header with a column {name}: no metrics could be read", path=source, name=STEP)
    if aside.lines or aside.no_step or aside.files:
        return tr("no row of {path} could be read", path=source)
    return tr("there are no metrics yet: the trainer writes them to {path}", path=source)


def duration(seconds: float) -> Message:
    """A time span as people read it."""
    if seconds < 2 * MINUTE:
        return tr("{seconds:.1f} s", seconds=seconds)
    if seconds < 2 * HOUR:
        return tr("{minutes:.1f} min", minutes=seconds / MINUTE)
    return tr("{hours:.1f} h", hours=seconds / HOUR)


def of_reading(aside: SetAside) -> tuple[Message, ...]:
    """What was left out while reading."""
    return (*_of_lines(aside), *_of_values(aside))


def _of_lines(aside: SetAside) -> Iterator[Message]:
    if count := aside.lines:
        yield trn(
            "{count} line was left out: it is torn, or its number of values is not that of its header",
            "{count} lines were left out: they are torn, or their number of values is not that of their header",
            count,
        )
    if count := aside.no_header:
        yield trn(
            "{count} line was left out: no header with a column {name} stands above it",
            "{count} lines were left out: no header with a column {name} stands above them",
            count,
            name=STEP,
        )
    if aside.unfinished:
        yield tr("the last line is not finished; it was left out")


def _of_values(aside: SetAside) -> Iterator[Message]:
    if count := aside.not_numbers:
        yield trn(
            "{count} value was left out: it is not a number",
            "{count} values were left out: they are not numbers",
            count,
        )
    if count := aside.no_step:
        yield trn("{count} row was left out: it has no step", "{count} rows were left out: they have no step", count)
    if count := aside.headers:
        yield trn(
            "{count} more header is in the middle of a file",
            "{count} more headers are in the middle of a file",
            count,
        )
    if count := aside.columns:
        yield trn("{count} column too many was left out", "{count} columns too many were left out", count)
    for name, why in aside.files.items():
        yield tr("{path} was not read, or not completely: {reason}", path=name, reason=why)


def of_branches(branches: Sequence[Branch]) -> tuple[Message, ...]:
    """What the branches do not show."""
    notes = []
    if len(branches) >= MOST:
        notes.append(
            tr(
                "the steps go back {count} times or more: two trainers may be writing to the same file; the oldest "
                "branches are shown as one",
                count=MOST - 1,
            )
        )
    first = history_of(branches)[0]
    if first.from_step and first.from_step > first.spacing:  # fewer lie between two rows
        count = f"{first.from_step:,}"
        notes.append(tr("the rows of the first {steps} steps of this model are in none of the files", steps=count))
    return tuple(notes)


def of_times(chosen: Selection) -> tuple[Message, ...]:
    """The branches whose rows could not be placed in time."""
    if not chosen.unknown:
        return ()
    names = listed(chosen.unknown, 5)
    return (tr("left out, since no event says when they were written: branch {names}", names=names),)
