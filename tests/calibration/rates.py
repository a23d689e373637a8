"""How often each verdict comes out, at a true difference that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from atftctl.decide.verdicts.bootstrap import bounds
from atftctl.decide.verdicts.paired import judge
from atftctl.domain.verdict import Verdict

MARGIN = 0.02
Bounds = Callable[[Sequence[float], int], tuple[float, float]]


@dataclass(frozen=True)
class Outcome:
    """The verdict's ingredients for one series whose true mean is zero. Bounds move with the series, so that they are
    known for every true difference: one bootstrap serves all of them."""

    mean: float
    lower: float
    upper: float

    def at(self, true: float) -> Verdict:
        """The verdict if the true mean difference were this."""
        return judge(self.mean + true, self.lower + true, self.upper + true, MARGIN)


def outcomes(many: Iterable[Sequence[float]], horizon: int = 1, method: Bounds = bounds) -> list[Outcome]:
    """Judge each series by this method."""
    return [Outcome(sum(values) / len(values), *method(values, horizon)) for values in many]


def share(results: Sequence[Outcome], true: float, verdict: Verdict) -> float:
    """How often the verdict is this one at a true difference."""
    return sum(result.at(true) is verdict for result in results) / len(results)


def false_degraded(results: Sequence[Outcome]) -> float:
    """Size: a service that is unchanged is called degraded."""
    return share(results, 0.0, Verdict.FAIL)


def false_restored(results: Sequence[Outcome]) -> float:
    """Size: a service that has lost as much as the margin is called restored."""
    return share(results, -MARGIN, Verdict.PASS)


def upper_error(results: Sequence[Outcome]) -> float:
    """How often the upper bound lies below the truth: the size of "degraded" without its condition on the mean."""
    return sum(result.upper < 0 for result in results) / len(results)
