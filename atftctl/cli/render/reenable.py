"""Where the phases of `reenable` stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import WARN, Tone, say, say_marked
from atftctl.cli.render.translation import localize
from atftctl.domain.reenabling import DOING_TEXTS
from atftctl.domain.result import Result
from atftctl.protocol.messages import Message, joined, tr

if TYPE_CHECKING:
    from atftctl.operations.reenable.standings import PhaseStanding

TONES: dict[str, Tone] = {"passed": "good", "accepted": "good", "failed": "bad", "void": "bad", "not begun": "quiet"}


def status(result: Result) -> None:
    """The sentence that sums it up, what is in the way, and each phase with its gate and what was seen."""
    from atftctl.operations.reenable.standings import ReenableStatusData

    data = result.data
    assert isinstance(data, ReenableStatusData)
    say(result.headline, "strong")
    for line in result.lines:
        say_marked(WARN, line, "warn")
    for phase in data.phases:
        _phase(phase)
    if data.next_phase:
        say(_next(data.phases[data.next_phase - 1]), lead="  ", hang=4)


def _next(phase: PhaseStanding) -> Message:
    if phase.standing == "failed":
        return tr(
            "next, once the cause is removed: atftctl reenable --phase {number} --force 'why it is safe now'",
            number=phase.number,
        )
    return tr("next: atftctl reenable --next (phase {number})", number=phase.number)


def _note(phase: PhaseStanding) -> str:
    """Why the phase stands so; "" where the evidence says it already."""
    if phase.standing == "accepted":
        return tr("accepted: {reason}", reason=phase.note)
    return (
        "" if all(part in phase.evidence for part in getattr(phase.note, "parts", ()) or (phase.note,)) else phase.note
    )


def _phase(phase: PhaseStanding) -> None:
    standing = DOING_TEXTS[phase.standing]
    ago = age(phase.ended or phase.began)
    when = joined(", ", filter(None, [localize(ago) if ago else "", phase.operator])) if phase.began else ""
    shown = tr("{title}: {standing}", title=phase.title, standing=standing)
    text = tr("{phase} ({when})", phase=shown, when=when) if when else shown
    say(text, TONES.get(phase.standing, "warn"), lead=f"  {phase.number}. ", hang=5)
    details = [
        tr("gate: {gate}", gate=phase.gate),
        tr("source: {source}", source=phase.source) if phase.source else "",
        *phase.evidence,
        _note(phase),
        tr("forced: {reason}", reason=phase.forced) if phase.forced else "",
        tr("operation {operation}", operation=phase.operation) if phase.operation else "",
    ]
    for detail in filter(None, details):
        say(detail, "quiet", lead="     ", hang=7)
