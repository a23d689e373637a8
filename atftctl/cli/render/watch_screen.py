"""The live screen of a watcher, as lines that fit the terminal. Pure functions: they write nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from atftctl.cli.render.console import Tone, mark_column
from atftctl.cli.render.curves import Charset, last_text, plot, values_text
from atftctl.cli.render.layout import display_width, pad, wrap
from atftctl.cli.render.translation import localize
from atftctl.cli.render.watch import VERDICTS, look_of
from atftctl.domain.curve import Curve
from atftctl.domain.printable import printable
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.record import record
from atftctl.protocol.messages import Message, joined, tr

if TYPE_CHECKING:
    from atftctl.operations.monitoring.watch import Seen
    from atftctl.operations.monitoring.watch_lines import WatchLine

Line = tuple[str, Tone]
NARROW = 64  # columns; a narrower screen has one curve beside another no more
LEAST_PLOT, MOST_PLOT = 2, 12  # rows of a curve
EVENTS = 4  # lines of the newest events, at least
STATES: dict[str, Message] = {
    "quiet": tr("quiet"),
    "alarm": tr("ALARM"),
    "warming up": tr("warming up"),
    "off": tr("off"),
}


@record
class Screen:
    """What is shown. `service`: its name. `budget`: how far the watcher may still act; "" where it does not. `doing`:
    what it is doing just now; "" while it looks. `events`: the lines so far, the newest last. `curves`: in their
    order."""

    service: str
    seen: Seen
    curves: Sequence[Curve]
    events: Sequence[WatchLine]
    budget: str = ""
    doing: str = ""


def screen_lines(screen: Screen, *, width: int, height: int, charset: Charset) -> list[Line]:
    """At most `height` lines of at most `width` columns."""
    head = [*_head(screen, width, charset), *_verdict(screen, width)]
    foot = [*_detectors(screen, width), *_budget(screen)]
    end: list[Line] = [(localize(screen.doing or tr("Ctrl-C ends the watcher")), "strong" if screen.doing else "quiet")]
    room = height - len(head) - len(foot) - len(end)
    curves = _curves(screen.curves, width, max(room - max(EVENTS, room // 4), 0), charset)
    events = _events(screen.events, width, room - len(curves))
    space: list[Line] = [("", "")] * (room - len(curves) - len(events))
    whole = (*head, *curves, *foot, *events, *space, *end)
    return [(clip(text, width, charset), tone) for text, tone in whole][:height]


def clip(text: str, width: int, charset: Charset) -> str:
    """The text, cut where it is wider than the screen."""
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return text + ("~" if charset == "ascii" else "…")


def _head(screen: Screen, width: int, charset: Charset) -> list[Line]:
    look = screen.seen.look
    parts: list[str] = [tr("trainer {state}", state=STATE_TEXTS[look.process.state])]
    step = f"{look.step:,}"
    parts.append(tr("step {step}", step=step))
    if look.process.section not in ("", "step"):
        parts.append(tr("section {section}", section=look.process.section))
    if look.generation:
        parts.append(tr("generation {number}", number=look.generation))
    if look.process.pid:
        parts.append(look.process.name)
    text = _state_text(screen, parts)
    while len(parts) > 1 and display_width(text) > width - 10:
        parts.pop()
        text = _state_text(screen, parts)
    return [(pad(clip(text, width - 10, charset), width - 9) + _clock(look.now), "strong")]


def _state_text(screen: Screen, parts: Sequence[str]) -> str:
    return printable(f"{screen.service}: {localize(joined(', ', parts))}")


def _clock(now: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(now).astimezone().strftime("%H:%M:%S")


def _verdict(screen: Screen, width: int) -> list[Line]:
    from atftctl.operations.monitoring.watch_lines import verdict_of

    mark, tone = VERDICTS[verdict_of(screen.seen.look)]
    lead = mark_column(mark)
    lines = wrap(printable(localize(screen.seen.verdict)), width, lead, " " * display_width(lead))
    return [(line, tone) for line in lines[:2]]


def _detectors(screen: Screen, width: int) -> list[Line]:
    """The detectors by state, those with an alarm first."""
    states: dict[str, list[str]] = {}
    for name, state in screen.seen.detectors.items():
        states.setdefault(state, []).append(name)
    lines: list[Line] = []
    for state in ("alarm", "quiet", "warming up", "off"):
        if names := states.get(state):
            text = f"{localize(STATES[state])}: {printable(', '.join(names))}"
            lines += [(line, "bad" if state == "alarm" else "") for line in wrap(text, width, "  ", "    ")[:2]]
    return lines


def _budget(screen: Screen) -> list[Line]:
    return [(f"  {localize(screen.budget)}", "")] if screen.budget else []


def _events(events: Sequence[WatchLine], width: int, room: int) -> list[Line]:
    """The newest events that fit, the newest last."""
    lines: list[Line] = []
    for event in reversed(events):
        mark, tone = look_of(event)
        lead = f"{event.time[11:19]}{mark_column(mark)}"
        shown: list[Line] = [(line, tone) for line in wrap(printable(localize(event.text)), width, lead, " " * 16)]
        if len(lines) + len(shown) > room:
            break
        lines = [*shown, *lines]
    return lines


def _curves(curves: Sequence[Curve], width: int, room: int, charset: Charset) -> list[Line]:
    """The curves, two beside each other where the screen is wide enough; those that do not fit are left out."""
    columns = 2 if width >= NARROW and len(curves) > 1 else 1
    rows = -(-len(curves) // columns)
    while rows and room // rows < LEAST_PLOT + 3:
        rows -= 1
    if not rows:
        return []
    height = min(room // rows - 3, MOST_PLOT)  # without the title, the axis and its ends
    wide = (width - 2 * (columns - 1)) // columns
    lines: list[Line] = []
    for row in range(rows):
        panels = [_panel(curve, wide, height, charset) for curve in curves[row * columns : (row + 1) * columns]]
        lines += [("  ".join(pad(part, wide) for part in parts).rstrip(), "") for parts in zip(*panels, strict=True)]
    return lines


def _panel(curve: Curve, width: int, height: int, charset: Charset) -> list[str]:
    """One curve with its title; always as many lines."""
    name = printable(localize(curve.title))
    title = f"{name}: {localize(values_text(curve))}"
    if display_width(title) > width:  # the ends of the scale are beside the curve
        title = clip(f"{name}: {last_text(curve)}", width, charset)
    drawn = plot([curve], width=width, height=height, charset=charset) if len(curve.xs) > 1 else []
    lines = [title, *drawn]
    return [*lines, *[""] * (height + 3 - len(lines))][: height + 3]


def budget_text(left: int | None, of: int) -> Message | str:
    """How far the watcher may still act. left: rollbacks; None where it does not act."""
    return "" if left is None else tr("rollbacks left in this run: {left} of {most}", left=left, most=of)
