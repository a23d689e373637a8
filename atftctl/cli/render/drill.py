"""Drills: their verdicts, and the times of each."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from atftctl.cli.render.console import say
from atftctl.cli.render.result import contacts, tone_of
from atftctl.cli.render.tables import show_wide_table
from atftctl.domain.result import Result
from atftctl.operations.drill.outcome import EXIT_OF, OWN_S, REACTION_S, DrillData, Rehearsed
from atftctl.protocol.messages import Message, tr

UNKNOWN = "–"
VERDICTS = {
    "restored": tr("restored"),
    "not restored": tr("not restored"),
    "inconclusive": tr("inconclusive"),
}


def drills(result: Result) -> None:
    """The headline, a table of the times, and for each drill that did not pass how to look at it."""
    data = data_of(result)
    say(result.headline, tone_of(result.exit_code))
    show_wide_table(*table_of(data))
    for drill in data.drills:
        for line in lines_of(drill):
            say(line, "quiet" if drill.verdict == "restored" else tone_of(EXIT_OF[drill.verdict]), lead="  ", hang=4)
    for name in data.missing:
        say(tr("{symptom} has no drill: the runbook's drill.faults does not describe it", symptom=name), "warn")
    contacts(result.contacts)


def data_of(result: Result) -> DrillData:
    """The data of a drill's result."""
    assert isinstance(result.data, DrillData)
    return result.data


def table_of(data: DrillData) -> tuple[list[str], list[list[str]]]:
    """(head, rows): seconds of each part of each incident, beside the runbook's minutes."""
    head = [
        tr("symptom"), tr("verdict"), tr("detect"), tr("decide"), tr("prepare"), tr("stop"), tr("change"), tr("start"),
        tr("first step"), tr("verify"), tr("rollback"), tr("of that atftctl"), tr("target"),
    ]  # fmt: skip
    return list(head), [_row(drill) for drill in data.drills]


def _row(drill: Rehearsed) -> list[str]:
    times = drill.seconds
    own = (times.detect, times.decide, times.prepare, times.stop, times.change, times.start, times.first_step,
           times.verify, times.reaction, times.own)  # fmt: skip
    target = tr("{minutes} min", minutes=drill.target_minutes)
    return [drill.symptom, VERDICTS[drill.verdict], *map(_seconds, own), target]


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f} s"


def lines_of(drill: Rehearsed) -> Iterator[Message]:
    """What is to be said of one drill: its obstacle, what misses its target, where its copy is."""
    if drill.obstacle:
        yield tr("{symptom}: {obstacle}", symptom=drill.symptom, obstacle=drill.obstacle)
    yield from missed(drill)
    if drill.folder:
        yield tr("{symptom}: the scratch copy is kept in {folder}", symptom=drill.symptom, folder=drill.folder)
        folder = shlex.quote(drill.folder)
        yield tr("look at it: {command}", command=f"atftctl history --project {folder}")


def missed(drill: Rehearsed) -> Sequence[Message]:
    """The targets that were missed. They hold on two idle cores."""
    reaction, own = drill.seconds.reaction, drill.seconds.own
    texts = list[Message]()
    if reaction is not None and reaction > REACTION_S:
        texts.append(tr("{symptom}: {seconds:.1f} s from the decision to the first step; the target is {limit:g} s",
                        symptom=drill.symptom, seconds=reaction, limit=REACTION_S))  # fmt: skip
    if own is not None and own > OWN_S:
        texts.append(tr("{symptom}: of that, {seconds:.1f} s of atftctl itself; the target is {limit:g} s",
                        symptom=drill.symptom, seconds=own, limit=OWN_S))  # fmt: skip
    return texts
