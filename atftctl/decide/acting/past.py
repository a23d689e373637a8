"""What the history says about the watcher's rollbacks: which were undone, when a person took over, how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from atftctl.domain.acting import Act, Memory, Outcome, Past

KEY = "watch"  # in `about` of an operation: the id of the act that asked for it
BY_HAND = ("trainer stop", "trainer restart")  # commands that change no file, and mean that a person has taken over


def past_of(entries: Sequence[Mapping[str, Any]], memory: Memory, now: float) -> Past:
    """What the history says. A run begins when a person changes files, or stops or restarts the trainer; `trainer
    start` alone begins none, since supervisors and boot scripts run it. now: in Unix seconds. What has a later time was
    recorded while the clock was wrong, and begins no run: every act would be one of an earlier run, and none would
    count."""
    ours = {str(entry["operation"]) for entry in entries if asked_by_watcher(entry)}
    theirs = [entry for entry in entries if entry["operation"] not in ours and not _was_put_back(entry)]
    undone = {_undo_of(entry) for entry in theirs if entry.get("files")} & ours
    begins = (memory.reset, *(ended_at(entry) for entry in theirs if _takes_over(entry)))
    return Past(max((begin for begin in begins if begin <= now), default=0.0), frozenset(undone))


def asked_by_watcher(entry: Mapping[str, Any]) -> str:
    """The act that asked for this operation; "" for none."""
    return str((entry.get("about") or {}).get(KEY, ""))


def newest_by_others(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The newest operation that the watcher did not ask for; empty for none."""
    return next((entry for entry in reversed(entries) if not asked_by_watcher(entry)), {})


def settled(act: Act, entries: Sequence[Mapping[str, Any]], now: float, generation: int) -> Act:
    """An act that was decided, as its operation ended; forgotten where it was never begun. Call this where no operation
    of this act is open. `generation`: of the trainer now: recovery does not record which one it started."""
    entry = next((entry for entry in reversed(entries) if asked_by_watcher(entry) == act.id), None)
    if entry is None:
        return replace(act, outcome="forgotten", ended=now)
    return replace(
        act,
        operation=str(entry["operation"]),
        ended=ended_at(entry) or now,
        restarted=int(entry.get("generation", 0)) or (generation if generation > act.generation else 0),
        outcome=_outcome(entry),
    )


def _outcome(entry: Mapping[str, Any]) -> Outcome:
    """How an operation ended; "" where the trainer came up, or recovery does not say whether it did."""
    if _was_put_back(entry):
        return "put back"
    return "" if entry.get("exit_code") == 0 else "failed"


def ended_at(entry: Mapping[str, Any]) -> float:
    """When an operation ended, in Unix seconds; 0 where that is not known."""
    try:
        return datetime.fromisoformat(str(entry.get("ended") or entry.get("started"))).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _takes_over(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("files")) or entry.get("command") in BY_HAND


def _undo_of(entry: Mapping[str, Any]) -> str:
    return str((entry.get("about") or {}).get("undo_of", ""))


def _was_put_back(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("outcome", "")).startswith("put back")
