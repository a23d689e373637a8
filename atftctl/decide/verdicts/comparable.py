"""Can a measurement be compared with the baseline's? Both must have been made on the same data, labels and evaluation
code; the model's code may differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.domain.probe_answer import Answer
from atftctl.protocol.messages import Message, tr

LOSSES = "losses"  # what the columns of losses mean
LABELS, CODE = ("horizons",), ("evaluation",)  # keys of the identity; all others are about the data


def differences(now: Answer, before: Answer) -> list[Message]:
    """What the baseline was measured on that is different now; empty where both can be compared.

    `now`, `before`: answers with `identity`, any object, and `facts`, numbers of their data. Where neither side has an
    identity, nothing speaks against it.
    """
    mine, theirs = now.get("identity"), before.get("identity")
    if mine == theirs:
        return []
    if not mine or not theirs:
        return [tr("no identity of its data, or this measurement has none")]
    if not (isinstance(mine, Mapping) and isinstance(theirs, Mapping)):
        return [tr("another identity")]
    keys = {key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)}
    different = []
    if keys - {*LABELS, *CODE}:
        different.append(_data(keys, now, before))
    if keys & {*LABELS}:
        different.append(tr("other labels"))
    if keys & {*CODE}:
        different.append(tr("another version of the evaluation code"))
    return different


def curve_differences(kept: Mapping[str, Any], column: str, started: Mapping[str, Any] | None) -> list[Message]:
    """Why a run can't be compared with the loss curve of a baseline; empty where it can.

    kept: the curve as the baseline holds it. column: that of the loss now. started: the event by which the run says
    what it measures on; None where that does not matter. Where neither side says it, nothing speaks against it.
    """
    if kept.get("column") != column:
        return [tr("it is of another column, {name}", name=str(kept.get("column")))]
    theirs, mine = kept.get("measured_on"), (started or {}).get("measured_on")
    if started is None or not (theirs or mine):
        return []
    if not (isinstance(mine, Mapping) and isinstance(theirs, Mapping) and mine and theirs):
        return [tr("it is not known whether the data are the same")]
    losses = [side.get(LOSSES) for side in (mine, theirs)]
    meanings = [side.get(column) if isinstance(side, Mapping) else None for side in losses]
    others = [{key: value for key, value in side.items() if key != LOSSES} for side in (mine, theirs)]
    mine_on, theirs_on = (Answer("quality", {"identity": other}) for other in others)
    why = differences(mine_on, theirs_on) if others[0] or others[1] else []
    return [*why, *([tr("another definition of the loss")] if meanings[0] != meanings[1] else [])]


def _data(keys: set[str], now: Answer, before: Answer) -> Message:
    """What is different about the data: a fact of them, or their first and last, where that is known."""
    mine, theirs = now.get("facts", {}), before.get("facts", {})
    for name, (title, number) in theirs.items():
        if name in mine and mine[name][1] != number:
            values = {"theirs": f"{number:,.10g}", "mine": f"{mine[name][1]:,.10g}", "title": title}
            return tr("other data ({title}: {theirs}; now {mine})", **values)
    identity = before.get("identity", {})
    if keys & {"first", "last"}:
        first, last = str(identity.get("first"))[:40], str(identity.get("last"))[:40]
        return tr("other data (from {first} to {last})", first=first, last=last)
    return tr("other data")
