"""What a trainer saved when it was stopped, as far as its checkpoints show it: for one that writes no events."""

from __future__ import annotations

from datetime import UTC, datetime

from atftctl.domain.checkpoint import Checkpoint
from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.domain.text import size_text
from atftctl.observe.checkpoints.ladder import ladder
from atftctl.operations.project import Project
from atftctl.protocol.messages import tr


@record
class StoppedData(Data):
    """A trainer that was stopped. saved: the checkpoint that was written after it was asked to stop, null where none
    was; newest: the newest checkpoint that there is, null for none; newest_at: when it was written (ISO 8601), null for
    none. Of a trainer that reports its checkpoints itself, and where none was running, all are null: see its events.
    """

    saved: str | None = None
    newest: str | None = None
    newest_at: str | None = None


def since(project: Project, asked: float) -> tuple[StoppedData, str]:
    """What was saved from a time on (Unix seconds), as data and in a sentence."""
    known = ladder(project.layout, project.runbook.checkpoints, hashed=False)
    newest = max((*known.all, *known.copies), key=lambda checkpoint: checkpoint.saved, default=None)
    rules = project.runbook.checkpoints
    if newest is None:
        text = tr(
            "atftctl can't tell whether the trainer has saved: there is no checkpoint at {last} (checkpoints.last of "
            "the runbook)",
            last=rules.last,
        )
        return StoppedData(), text
    data = StoppedData(newest.path if newest.saved >= asked else None, newest.path, _time(newest))
    values = {"path": newest.path, "time": _time(newest), "size": size_text(newest.size)}
    if data.saved:
        return data, tr(
            "saved after it was asked to stop: {path} ({size}, {time}); not checked: is it whole?", **values
        )
    return data, tr(
        "no checkpoint was saved after it was asked to stop; the newest is {path} ({size}, {time})", **values
    )


def _time(checkpoint: Checkpoint) -> str:
    return datetime.fromtimestamp(checkpoint.saved, UTC).astimezone().isoformat(timespec="seconds")
