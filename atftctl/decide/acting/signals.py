"""What speaks for a symptom, and whether two signs of it are independent of each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from atftctl.decide.detectors import leak, spike
from atftctl.decide.diagnosis.causes import symptom_of
from atftctl.domain.diagnosis import Diagnosis, Evidence
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook

SPEAKS = ("proof", "strong", "weak")  # what other evidence says, it does not say for a cause


@record
class Signals:
    """What speaks for one symptom. `cause`: as the diagnosis calls it."""

    symptom: str
    cause: str
    signs: tuple[Evidence, ...]

    @property
    def proof(self) -> Evidence | None:
        """The sign that makes it sure; None without one."""
        return next((sign for sign in self.signs if sign.strength == "proof"), None)

    @property
    def strong(self) -> tuple[Evidence, ...]:
        """Signs that count alone, if they last."""
        return tuple(sign for sign in self.signs if sign.strength in ("proof", "strong") and sign.detector != leak.NAME)

    @property
    def pair(self) -> tuple[Evidence, Evidence] | None:
        """Two independent signs, one of them strong; None where there are no such two."""
        pairs = (
            pair for pair in combinations(self.signs, 2)
            if independent(*pair) and any(sign.strength != "weak" for sign in pair)
        )  # fmt: skip
        return next(pairs, None)


def signals_of(runbook: Runbook, diagnosis: Diagnosis) -> tuple[Signals, ...]:
    """The symptoms of the runbook that something speaks for, the surest first."""
    signs: dict[str, list[Evidence]] = {}
    first: dict[str, str] = {}
    for hypothesis in diagnosis.hypotheses:
        if symptom := symptom_of(runbook, hypothesis.cause):
            first.setdefault(symptom, hypothesis.cause)
            signs.setdefault(symptom, []).extend(_speaking(hypothesis.evidence))
    made = [Signals(symptom, first[symptom], tuple(found)) for symptom, found in signs.items() if found]
    return tuple(sorted(made, key=_order))


def _speaking(evidence: Iterable[Evidence]) -> Iterable[Evidence]:
    return (sign for sign in evidence if sign.strength in SPEAKS and sign.detector != spike.NAME)


def _order(signals: Signals) -> tuple[bool, bool, bool]:
    return signals.proof is None, signals.pair is None, not signals.strong


def independent(one: Evidence, other: Evidence) -> bool:
    """Can these two signs be wrong for different reasons? They come from different sources; or from different columns
    of the metrics, by different detectors. Two detectors that look at one column see the same noise; one detector
    that looks at two columns sees the same step: the gradient of a batch leaps with its loss."""
    if one.source != other.source:
        return True
    if one.source != "metrics" or not (one.column and other.column):
        return False
    return one.column != other.column and one.detector != other.detector


def fault_of(signals: Signals, chosen: Sequence[Evidence]) -> str:
    """How a fault was seen, without its numbers: so it is known again."""
    seen = sorted({":".join(filter(None, (sign.source, sign.detector, sign.column))) for sign in chosen})
    return f"{signals.symptom}/{signals.cause}/{'+'.join(seen)}"


def texts(chosen: Sequence[Evidence]) -> tuple[str, ...]:
    """What the signs say."""
    return tuple(dict.fromkeys(sign.text for sign in chosen))


def by_symptom(signals: Iterable[Signals]) -> Mapping[str, Signals]:
    """The signals of each symptom."""
    return {each.symptom: each for each in signals}
