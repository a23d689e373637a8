"""Can a measurement be compared with the baseline's? Both must have been made on the same data, labels and evaluation
code; the model's code may differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.protocol.messages import Message, tr

LOSSES = "losses"  # what the columns of losses mean
LABELS, CODE = ("horizons",), ("evaluation",)  # keys of the identity; all others are about the data


def differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[Message]:
    """What the baseline was measured on that is different now; empty where both can be compared.

    `now`, `before`: measurements with `identity`, a mapping, and `stocks`, the number of stocks of their data. Raises
    KeyError where there is no identity.
    """
    mine, theirs = now["identity"], before["identity"]
    if mine == theirs:
        return []
    if not (isinstance(mine, Mapping) and isinstance(theirs, Mapping)):
        return [tr("another identity")]
    keys = {key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)}
    different = []
    if data := keys - {*LABELS, *CODE}:
        different.append(_data(data, now, before))
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
    why = differences({"identity": others[0]}, {"identity": others[1]})
    return [*why, *([tr("another definition of the loss")] if meanings[0] != meanings[1] else [])]


def _data(keys: set[str], now: Mapping[str, Any], before: Mapping[str, Any]) -> Message:
    """What is different about the data: its stocks or its dates, where that is known."""
    mine, theirs = now.get("stocks"), before.get("stocks")
    if isinstance(mine, int) and isinstance(theirs, int) and mine != theirs:
        return tr("other data ({theirs:,} stocks; now {mine:,})", theirs=theirs, mine=mine)
    if keys & {"first", "last"}:
        first, last = before["identity"].get("first"), before["identity"].get("last")
        return tr("other data (dates from {first} to {last})", first=first, last=last)
    return tr("other data")
