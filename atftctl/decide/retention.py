"""Which snapshots are kept, and why: restic's rules, without a clock.

Ages are counted from the newest snapshot, not from now: a clock that jumped ahead must not make everything old.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from atftctl.domain.runbook import Keep, span_s
from atftctl.domain.snapshot import Snapshot

Bucket = Callable[[datetime], tuple[int, ...]]
BUCKETS: tuple[tuple[str, Bucket], ...] = (
    ("hourly", lambda at: (at.year, at.month, at.day, at.hour)),
    ("daily", lambda at: (at.year, at.month, at.day)),
    ("weekly", lambda at: tuple(at.isocalendar()[:2])),
    ("monthly", lambda at: (at.year, at.month)),
)


def reasons(
    snapshots: Sequence[Snapshot], keep: Keep, needed: Collection[str] = (), damaged: Collection[str] = ()
) -> dict[str, list[str]]:
    """By id, in order, why each is kept; none where it goes. `snapshots`: oldest first. `needed`: by something that is
    open, or by the last undo. The snapshots that people asked for and those that operations took for their safety are
    counted apart: a busy night must not push out what somebody took on purpose. A damaged one stands for nothing, and
    is left to a person."""
    found: dict[str, list[str]] = {
        one.id: ["damaged: for a person to look at"] * (one.id in damaged) for one in snapshots
    }
    whole = [one for one in snapshots if one.id not in damaged]
    for kind in (
        [one for one in whole if not one.operation],
        [one for one in whole if one.operation],
    ):
        _by_policy(kind, keep, found)
    good = [one for one in whole if one.verified]
    if good:
        found[good[-1].id].append("newest verified-good")
    for one in snapshots:
        if one.pinned:
            found[one.id].append("pinned")
        if one.id in needed:
            found[one.id].append("needed for undo")
    return found


def _by_policy(snapshots: Sequence[Snapshot], keep: Keep, found: dict[str, list[str]]) -> None:
    """The newest of each hour, day, week and month stands for it."""
    if not snapshots:
        return
    newest_first = [(one.id, datetime.fromisoformat(one.created)) for one in reversed(snapshots)]
    for name, _ in newest_first[: keep.last]:
        found[name].append("last")
    for word, bucket in BUCKETS:
        seen: set[tuple[int, ...]] = set()
        for name, at in newest_first:
            if len(seen) < getattr(keep, word) and bucket(at) not in seen:
                seen.add(bucket(at))
                found[name].append(word)
    span = timedelta(seconds=span_s(keep.within) or 0)
    for name, at in newest_first:
        if span and newest_first[0][1] - at < span:
            found[name].append("within")
