"""Lines of logs, and the errors in them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import Tone, emit, flush, say, screen
from atftctl.cli.render.layout import GAP, display_width, pad
from atftctl.cli.render.result import tone_of
from atftctl.cli.render.tables import show_table
from atftctl.cli.render.translation import localize
from atftctl.domain.duration import duration_text
from atftctl.domain.result import Result
from atftctl.protocol.messages import tr, trn

if TYPE_CHECKING:
    from atftctl.operations.report.log_data import FirstError, LogErrorsData, LogLine

MESSAGES = 8  # of the most frequent messages are shown
SHOWN = 30  # lines of the first error
BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
LEAST = 24  # columns for the bars; where there are fewer, the table has them below its rows


def newest(result: Result) -> None:
    """The lines alone on standard output; what is wrong with the logs on standard error."""
    from atftctl.operations.report.log_data import LogsData

    data = result.data
    assert isinstance(data, LogsData)
    if not data.entries:
        say(result.headline, tone_of(result.exit_code))
    width = _name_width(data.entries)
    for line in data.entries:
        log_line(line, width)
    flush()
    for note in result.lines:
        say(note, "quiet", lead="  ", hang=4, stream=sys.stderr)


def _name_width(lines: Sequence[LogLine]) -> int:
    """Columns for the name of the log before each line; 0 where all lines are of the same one."""
    names = {_name(line.file) for line in lines}
    return max(map(display_width, names)) if len(names) > 1 else 0


def _name(file: str) -> str:
    return file.rpartition("/")[2]


def log_line(line: LogLine, width: int) -> None:
    """One line of a log. width: of the name of the log before it; 0: no name."""
    lead = f"{pad(_name(line.file), width)}  " if width else ""
    text = line.text.expandtabs()
    if line.repeated > 1:
        text = f"{text}  (× {line.repeated:,})"
    emit(f"{lead}{text}", "bad" if line.error else "")


def errors(result: Result) -> None:
    """The counts by kind with their course over time, the first error, the most frequent messages, what was read."""
    from atftctl.operations.report.log_data import LogErrorsData

    data = result.data
    assert isinstance(data, LogErrorsData)
    say(result.headline, "bad" if data.count else tone_of(result.exit_code))
    if data.kinds:
        _kinds(data)
    if data.first:
        _first(data.first)
    _messages(data)
    for note in result.lines:
        say(note, "quiet", lead="  ", hang=4)


def _kinds(data: LogErrorsData) -> None:
    head = [tr("kind"), tr("severity"), tr("count"), tr("first"), tr("last")]
    rows = [
        [kind.name, _severity(kind.severity), f"{kind.count:,}", _clock(kind.first), _clock(kind.last)]
        for kind in data.kinds
    ]
    on_screen = sys.stdout.isatty() and data.begin is not None
    each = _bins_per_column(data, screen()[0] - _width([head, *rows]))
    if on_screen:
        head.append(tr("over time"))
        rows = [[*row, _bars(kind.over_time, each)] for row, kind in zip(rows, data.kinds, strict=True)]
    show_table(head, rows)
    if on_screen and data.begin:
        begin = datetime.fromisoformat(data.begin).strftime("%Y-%m-%d %H:%M:%S")
        text = tr("each column is {width}, from {time} on", width=_span(data.bin_seconds * each), time=begin)
        say(text, "quiet", lead="  ")


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Columns that these columns of a table take, with the gaps behind them."""
    return sum(max(display_width(localize(cell)) for cell in cells) + GAP for cells in zip(*rows, strict=True))


def _severity(severity: str) -> str:
    return {"fatal": tr("fatal"), "error": tr("error"), "warning": tr("warning")}.get(severity, severity)


def _clock(written: str | None) -> str:
    """The time of day; with its date where it was not today."""
    if written is None:
        return ""
    at = datetime.fromisoformat(written)
    today = datetime.now(at.tzinfo).date() == at.date()
    return at.strftime("%H:%M:%S" if today else "%m-%d %H:%M")


def _bins_per_column(data: LogErrorsData, columns: int) -> int:
    """Bins of the histogram that one column shows, so that all fit into so many columns."""
    bins = max((len(kind.over_time) for kind in data.kinds), default=0)
    return -(-bins // max(columns, LEAST)) or 1


def _bars(counts: Sequence[int], each: int) -> str:
    """The counts over time as one row of bars, `each` bins in one; the highest is this kind's own."""
    sums = [sum(counts[at : at + each]) for at in range(0, len(counts), each)]
    top, bars = max(sums, default=0), BARS if _has_blocks() else PLAIN_BARS
    return "".join(bars[(len(bars) * number - 1) // top] if number else " " for number in sums).rstrip()


def _has_blocks() -> bool:
    """Can this terminal's encoding show block characters?"""
    try:
        BARS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _span(seconds: int) -> str:
    if seconds % 86_400 == 0:
        return tr("{count} d", count=seconds // 86_400)
    return duration_text(seconds)


def _first(first: FirstError) -> None:
    """The first error with its surroundings."""
    ago = localize(age(first.time)) if first.time else ""
    where = tr("first error: {kind} in {file}", kind=first.kind, file=first.file)
    if first.time:
        at = datetime.fromisoformat(first.time).strftime("%Y-%m-%d %H:%M:%S")
        where = tr("{text}, {time} ({age})", text=where, time=at, age=ago)
    say(where, "strong")
    if len(first.lines) > 1:
        say(first.message, "bad", lead="  ", hang=4)
    _lines(first.before, "quiet")
    shown, half = first.lines, SHOWN // 2
    left_out = first.left_out
    if len(shown) > SHOWN:
        left_out += len(shown) - SHOWN
        _lines(shown[:half], "bad")
        shown = shown[-half:]
    if left_out:
        say(trn("… {count} more line", "… {count} more lines", left_out), "quiet", lead="    ")
    _lines(shown, "bad")
    _lines(first.after, "quiet")


def _lines(lines: Sequence[str], tone: Tone) -> None:
    for line in lines:
        emit(_short(line.expandtabs()), tone, indent=4)


def _short(line: str) -> str:
    """A line that takes at most three rows of the terminal."""
    most = 3 * screen()[0] - 8
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _messages(data: LogErrorsData) -> None:
    """The most frequent messages, where there is more to say than the first error says."""
    if data.count + data.warnings < 2:
        return
    say(tr("most frequent (numbers may differ):"), "strong")
    for message in data.messages[:MESSAGES]:
        text = tr("{kind}: {message}", kind=message.kind, message=_short(message.message.expandtabs()))
        say(text, lead=f"  × {message.count:<6,}  ", hang=11)
    more = len(data.messages) - MESSAGES
    if more > 0:
        say(trn("and {count} more message; --json lists it", "and {count} more messages; --json lists them", more),
            "quiet", lead="  ")  # fmt: skip
