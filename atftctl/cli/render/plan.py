"""A plan: its steps, its diff, its notes, and one sentence that sums it up."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain

from atftctl.cli.render.console import WARN, Tone, paragraph, say, say_marked, screen, write_lines
from atftctl.cli.render.layout import chunks
from atftctl.domain.code_steps import ChangePackages
from atftctl.domain.duration import duration_text
from atftctl.domain.plan import Plan
from atftctl.domain.printable import printable
from atftctl.domain.snapshot_steps import RemoveSnapshot
from atftctl.domain.steps import ChangeFiles, RunStage, SettingChange, Step
from atftctl.domain.text import listed
from atftctl.protocol.messages import Message, joined, tr, trn

LINES_BELOW = 2  # the question, and the row where the cursor stands after the answer
ALL = sys.maxsize
LEAST = 5  # rows of the settings and of the diff, however little room there is
NOTE, SETTING = "  ! ", "       "  # what stands before a note, and before a setting
Row = tuple[str, str]  # (what stands before the text, text)


def show(plan: Plan, diff: Sequence[str] = (), *, whole: bool, question: bool = False) -> None:
    """Show a plan.

    whole: all settings and the whole diff; else as much as fits on the screen. question: a question follows, with the
    summary before it.
    """
    title = f"{plan.command}: "
    say(plan.title, "strong", lead=title, hang=2)
    steps = [_step_rows(number, step) for number, step in enumerate(plan.steps, 1)]
    settings_room = diff_room = ALL
    if sys.stdout.isatty() and not whole:
        fixed = [(title, plan.title), *chain(*steps), *((NOTE, note) for note in plan.notes)]
        used = sum(len(paragraph(text, lead=lead)) for lead, text in fixed)
        used += len(paragraph(summary(plan))) + LINES_BELOW if question else 1
        settings_room, diff_room = _rooms(screen()[1] - used, len(plan.changes), sum(len(_rows(line)) for line in diff))
    for step, rows in zip(plan.steps, steps, strict=True):
        for lead, text in rows:
            say(text, lead=lead)
        if isinstance(step, ChangeFiles):
            _show_settings(plan.changes, settings_room)
    show_diff(diff, diff_room)
    for note in plan.notes:
        say_marked(WARN, note, "warn")


def _rooms(left: int, settings: int, diff: int) -> tuple[int, int]:
    """Rows for the settings and for the diff, of the rows that are left on the screen."""
    left = max(left, min(settings, LEAST) + LEAST)
    settings_room = min(settings, max(left // 2, left - diff))
    return settings_room, left - settings_room


def _show_settings(changes: Sequence[SettingChange], room: int) -> None:
    shown = changes if len(changes) <= room else changes[: room - 1]
    for change in shown:
        say(change.describe(), lead=SETTING, hang=len(SETTING) + 2)
    if missing := len(changes) - len(shown):
        text = trn("{count} more setting: --diff shows all", "{count} more settings: --diff shows all", missing)
        say(text, "quiet", lead=f"{SETTING}... ")


def show_diff(lines: Sequence[str], room: int) -> None:
    """Show at most `room` rows of a diff; the last of them says how many are missing."""
    shown = _fitting(lines, room)
    for line in lines[:shown]:
        write_lines(_rows(line), _diff_tone(line))
    if missing := len(lines) - shown:
        say(
            trn(
                "{count} more line: --diff shows the whole diff",
                "{count} more lines: --diff shows the whole diff",
                missing,
            ),
            "quiet",
            lead="    ... ",
        )


def _fitting(lines: Sequence[str], room: int) -> int:
    """How many lines fit into `room` rows, with one row for what is missing."""
    used = list(accumulate(len(_rows(line)) for line in lines))
    if not used or used[-1] <= room:
        return len(lines)
    return sum(rows < room for rows in used)


def _rows(line: str) -> list[str]:
    """A line of a diff as rows of the screen: broken anywhere, what follows set in."""
    text = printable(line.expandtabs())
    return chunks(text, screen()[0], "    ", "      ") if sys.stdout.isatty() else [f"    {text}"]


def summary(plan: Plan) -> str:
    """The plan in one sentence."""
    kinds = Counter(type(step) for step in plan.steps)
    parts = [tr("stop {process}", process=step.name) for step in plan.stops]
    if plan.targets:
        parts.append(tr("change {files}", files=listed([target.path for target in plan.targets], 3)))
    if plan.code:
        parts.append(tr("move the branch {branch}", branch=plan.code.branch.removeprefix("refs/heads/")))
    if kinds[ChangePackages]:
        parts.append(tr("change the installed packages"))
    if kinds[RunStage]:
        count = kinds[RunStage]
        parts.append(trn("run {count} stage with a restart", "run up to {count} stages, each with a restart", count))
    if kinds[RemoveSnapshot]:
        count = kinds[RemoveSnapshot]
        parts.append(trn("permanently remove {count} snapshot", "permanently remove {count} snapshots", count))
    parts += _after_the_files(plan)
    return tr("This will {actions}.", actions=joined(", ", parts or [tr("recover")]))


def _after_the_files(plan: Plan) -> list[Message]:
    """What the plan does once all files are changed."""
    parts: list[Message] = []
    if plan.start:
        parts.append(tr("start the trainer from {checkpoint}", checkpoint=plan.start.resume))
    if plan.reload:
        parts.append(tr("reload the settings in the running trainer"))
    if plan.confirmation:
        duration = duration_text(plan.confirmation.within_s)
        parts.append(tr("undo it after {duration} unless confirmed", duration=duration))
    return parts


def _diff_tone(line: str) -> Tone:
    if line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
        return "good" if line[0] == "+" else "bad"
    return "quiet"


def _step_rows(number: int, step: Step) -> list[Row]:
    """A step and, below it, the list of what it changes."""
    heading, items = itemized(step.describe())
    lead = f"  {number}. "
    return [(lead, heading), *((f"{' ' * len(lead)}- ", item) for item in items)]


def itemized(text: str) -> tuple[str, tuple[str, ...]]:
    """A message with a list in it as (heading, items); any other text as (text, ())."""
    if not isinstance(text, Message):
        return text, ()
    if _is_list(text):
        return tr("change these files, either all or none:"), text.parts
    for name, value in text.values.items():
        if _is_list(value):
            return _without(text, name), value.parts
    return text, ()


def _without(text: Message, name: str) -> Message:
    """The message with nothing in place of one of its values."""
    values = {**text.values, name: ""}
    heading = Message(text.template.format(**values))
    heading.template, heading.values = text.template, values
    return heading


def _is_list(value: object) -> bool:
    return isinstance(value, Message) and value.separator == "; " and len(value.parts) > 1
