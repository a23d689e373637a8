"""What the page of a rehearsal says of one drill, in HTML as in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.cli.render.drill import lines_of, table_of
from atftctl.domain.checks import title_of
from atftctl.operations.drill.outcome import DrillData, Rehearsed
from atftctl.protocol.messages import Message, tr


def story_of(drill: Rehearsed) -> Sequence[str | Message]:
    """What was done, part by part, what is to be said of it, and what the watcher saw."""
    evidence = (drill.seen.get("act") or {}).get("evidence") or []
    return [
        *(line if isinstance(line, Message) else line.strip() for line in drill.timeline),
        *lines_of(drill),
        *(tr("seen by the watcher: {text}", text=text) for text in evidence),
    ]


def times_of(drill: Rehearsed) -> Sequence[tuple[str, str]]:
    """Each time of the incident with its name."""
    head, [row] = table_of(DrillData(drill.verdict, drill.total_s, (drill,)))
    return list(zip(head[2:], row[2:], strict=True))


def checks_of(drill: Rehearsed) -> Sequence[tuple[str, str]]:
    """The checks with their evidence."""
    return [(title_of(str(name)), text) for name, text in (drill.seen.get("checks") or {}).items()]
