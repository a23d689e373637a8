"""Decide which snapshots are kept, and why, by restic's rules.

Ages are counted from the newest snapshot, not from now: a clock that jumped ahead must not make every snapshot old.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from atftctl.domain.runbook import Keep, span_s
from atftctl.domain.snapshot import Snapshot
from atftctl.protocol.messages import tr

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
    """Return for each snapshot, by id, why it is kept; an empty list where it is not.

    `snapshots`: oldest first. `needed`: ids that an open operation or the last undo needs. `damaged`: ids of damaged
    snapshots; they are kept for a person to look at, and never count as the newest of an hour or day. Manual snapshots
    and those taken by operations are counted apart: a busy night must not push out what somebody took on purpose.
    """
    why: dict[str, list[str]] = {
        snapshot.id: [tr("damaged: it must be inspected manually")] * (snapshot.id in damaged) for snapshot in snapshots
    }
    whole = [snapshot for snapshot in snapshots if snapshot.id not in damaged]
    _by_policy([snapshot for snapshot in whole if not snapshot.operation], keep, why)
    _by_policy([snapshot for snapshot in whole if snapshot.operation], keep, why)
    verified = [snapshot for snapshot in whole if snapshot.verified]
    if verified:
        why[verified[-1].id].append(tr("newest verified-good"))
    for snapshot in snapshots:
        if snapshot.pinned:
            why[snapshot.id].append(tr("pinned"))
        if snapshot.id in needed:
            why[snapshot.id].append(tr("needed for undo"))
    return why


def _by_policy(snapshots: Sequence[Snapshot], keep: Keep, why: dict[str, list[str]]) -> None:
    """Add why the retention keeps snapshots: the newest of each hour, day, week and month, and the newest of all."""
    if not snapshots:
        return
    newest_first = [(snapshot.id, datetime.fromisoformat(snapshot.created)) for snapshot in reversed(snapshots)]
    for name, _ in newest_first[: keep.last]:
        why[name].append("last")
    for span_name, bucket in BUCKETS:
        seen: set[tuple[int, ...]] = set()
        for name, at in newest_first:
            if len(seen) < getattr(keep, span_name) and bucket(at) not in seen:
                seen.add(bucket(at))
                why[name].append(span_name)
    span = timedelta(seconds=span_s(keep.within) or 0)
    for name, at in newest_first:
        if span and newest_first[0][1] - at < span:
            why[name].append("within")
