"""The data of `diagnose`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from atftctl.domain.diagnosis import Confidence, Source, Strength
from atftctl.domain.record import record
from atftctl.domain.result import Data


@record
class Sign(Data):
    """One sign of a cause.

    source: where it was seen. strength: `proof`, it is sure; `strong`, without the cause it happens hardly ever;
    `weak`, it has other causes, too; `against`, with the cause it would be otherwise; `note`, it speaks for no cause.
    text: what was seen. time: when (ISO 8601), or null.
    """

    source: Source
    strength: Strength
    text: str
    time: str | None


@record
class Cause(Data):
    """One cause that something speaks for.

    name: of the cause. symptom: the symptom of the runbook that it is, or null. title: what people call it.
    confidence: `certain`, by a proof or by strong signs of two kinds; `likely`, by one strong sign; `possible`, by weak
    signs only. command: the command that helps. advice: what else to know or do, or null. evidence: what speaks for
    it. against: what speaks against it.
    """

    name: str
    symptom: str | None
    title: str
    confidence: Confidence
    command: str
    advice: str | None
    evidence: tuple[Sign, ...]
    against: tuple[Sign, ...]


@record
class DiagnoseData(Data):
    """Data of `diagnose`.

    verdict: `healthy`; `fault`, its cause is certain or likely; `inconclusive`, it can't be told. cause: the surest
    cause, or null. others: the other causes, the surest first. notes: signs that speak for no cause. unknown: why it
    can't be said that nothing is wrong. unseen: what could not be looked at. detectors: the alarms that last, and what
    each says. state: of the trainer. generation: the number of its start, 0 where that is not known. step: its newest
    step, or null. rows: how many rows of metrics it has written. since: from when on (ISO 8601), or null.
    """

    verdict: Literal["healthy", "fault", "inconclusive"]
    cause: Cause | None
    others: tuple[Cause, ...]
    notes: tuple[Sign, ...]
    unknown: tuple[str, ...]
    unseen: tuple[str, ...]
    detectors: Mapping[str, str]
    state: str
    generation: int
    step: int | None
    rows: int
    since: str | None
