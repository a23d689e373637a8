"""Has the same fault returned? Then the next remedy is taken, never the same one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.record import record
from atftctl.domain.text import listed
from atftctl.protocol.messages import Message, tr


@record
class Attempt:
    """An earlier rollback for the same fault. `fault_step`: how far the training had come by then. `resumed_step`: the
    step of the checkpoint that it resumed from; None where that is not known. `checkpoint`: its path, or ""."""

    operation: str
    fault_step: int
    resumed_step: int | None = None
    checkpoint: str = ""


def fault_of(facts: Facts) -> dict[str, str]:
    """What the history keeps of the fault: the step that the training has reached ("" where none was), and its
    settings."""
    step = "" if facts.process.step is None else str(facts.process.step)
    return {"fault_step": step, "fault_config": facts.process.digest[:12]}


def attempts(entries: Sequence[Mapping[str, Any]], symptom: str, step: int | None) -> list[Attempt]:
    """Return the rollbacks for this symptom since when the training has not come further than it had then, the oldest
    first. Those that were put back or undone do not count, nor those after which no trainer was started.

    `step`: that it has reached now; None where the trainer died before its first step, which is no progress.
    """
    undone = {str((entry.get("about") or {}).get("undo_of", "")) for entry in entries if _changed(entry)}
    made: list[Attempt] = []
    for index, entry in enumerate(entries):
        about = entry.get("about") or {}
        if entry.get("command") != "rollback" or about.get("symptom") != symptom or "fault_step" not in about:
            continue
        if _was_put_back(entry) or entry["operation"] in undone or not _was_tried(entries[index:]):
            continue
        reached = max(_number(about["fault_step"]) or 0, made[-1].fault_step if made else 0)
        resumed = _number(about.get("checkpoint_step")), str(about.get("checkpoint", ""))
        made.append(Attempt(str(entry["operation"]), reached, *resumed))
    if not made:
        return []
    now = made[-1].fault_step if step is None else step
    return [attempt for attempt in made if now <= attempt.fault_step]


def _was_tried(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Has a trainer run with what the first of these entries changed? It was started by it, or by hand before
    anything else was changed; or the running one has loaded it."""
    for entry in entries:
        if entry is not entries[0] and entry.get("files"):
            return False
        if entry.get("generation") or entry.get("first_step"):
            return True
    return False


def earlier_than(tried: Sequence[Attempt]) -> int | None:
    """The step that the next checkpoint must be before; None where it is not known what was resumed from."""
    steps = [attempt.resumed_step for attempt in tried if attempt.resumed_step is not None]
    return min(steps, default=None)


def note(tried: Sequence[Attempt], step: int | None) -> Message:
    """That the fault has returned, and what was done about it before."""
    return tr(
        "the same fault has returned, without progress past step {step}, after {operations}: the next remedy is taken",
        step=max(step or 0, tried[-1].fault_step),
        operations=listed([attempt.operation for attempt in tried], 3),
    )


def exhausted(symptom: str, tried: Sequence[Attempt], contacts: Sequence[str]) -> Refused:
    """The refusal where every remedy was tried; it names the contacts."""
    return Refused(
        tr(
            "{symptom} has returned after {operations}, and no further remedy is left",
            symptom=symptom,
            operations=listed([attempt.operation for attempt in tried], 3),
        ),
        lines=tuple(contacts),
        hint=tr("restore a snapshot: atftctl rollback --to last-good; or choose by hand: atftctl checkpoint list"),
    )


def _changed(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("files")) and not _was_put_back(entry)


def _was_put_back(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("outcome", "")).startswith("put back")


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
