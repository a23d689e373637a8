"""The result of a comparison with the baseline, as a record and as a sentence."""

from __future__ import annotations

import math

from atftctl.domain.metric_rules import Direction
from atftctl.domain.pairing import PairBy, counted
from atftctl.domain.record import record
from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol.messages import Message, joined, tr, trn

# Of `--json`.
FIGURES = ("pair_by", "pairs", "now", "baseline", "difference", "lower", "upper", "margin", "more_pairs")
MOST_DECIMALS = 12


@record
class Comparison:
    """What a comparison with the baseline found.

    margin: the loss that is accepted, in the unit of the measure. pairs: how many values are compared: pairs, or the
    values of the smaller sample where they are not paired. pair_by: what they are paired by. now, baseline: the means.
    difference: of the means, positive where it is better now, also of a measure whose lower values are better. lower,
    upper: its one-sided 95 % bounds. more_pairs: how many more would settle an inconclusive verdict. problem: why the
    bounds are not the reason of the verdict. What is not known is None. unit: of the measure; "" for none. evaluations:
    the values are those of a run's evaluations, one after the other.
    """

    title: str
    better: Direction
    margin: float
    pairs: int
    verdict: Verdict = Verdict.INCONCLUSIVE
    now: float | None = None
    baseline: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    more_pairs: int | None = None
    problem: str = ""
    pair_by: PairBy = "date"
    unit: str = ""
    evaluations: bool = False

    @property
    def improved(self) -> bool:
        """Is the measure restored, and its mean better than the baseline's? For gates that ask for an improvement."""
        return self.verdict is Verdict.PASS and self.difference is not None and self.difference > 0

    def sentence(self) -> Message:
        """The comparison as a sentence that is understood alone."""
        values = {"title": self.title, "result": self.result()}
        return tr("{title}: {result}", **values) if self.problem else tr("{title} {result}", **values)

    def result(self) -> str:
        """The sentence without the title, for a line that begins with it."""
        if self.problem:
            return self.problem
        if self.verdict is Verdict.INCONCLUSIVE:
            return joined("; ", [self._by_bounds(), self._outlook()])
        return self._by_bounds()

    def check(self) -> Check:
        """The comparison as a line of the checklist."""
        return Check(self.title, self.verdict, self.result(), {name: getattr(self, name) for name in FIGURES})

    def _by_bounds(self) -> Message:
        lower, upper = self.lower or 0.0, self.upper or 0.0
        decimals = _decimals(self.margin, lower, upper)
        values = {
            "levels": self._levels(decimals),
            "lower": self._shown(f"{lower:+.{decimals}f}"),
            "upper": self._shown(f"{upper:+.{decimals}f}"),
            "margin": self._shown(f"{-self.margin:g}"),
            "pairs": self._counted(),
        }
        if self.verdict is Verdict.PASS:
            return tr("{levels}, lower 95 % bound {lower} > {margin}: restored ({pairs})", **values)
        if self.verdict is Verdict.FAIL:
            return tr("{levels} <= {margin}, upper 95 % bound {upper} < 0: degraded ({pairs})", **values)
        return tr("{levels}, 95 % bounds {lower} and {upper}, margin {margin}: inconclusive ({pairs})", **values)

    def _shown(self, number: str) -> str:
        return f"{number} {self.unit}" if self.unit else number

    def _counted(self) -> Message:
        if self.evaluations:
            return trn("{count} evaluation", "{count} evaluations", self.pairs)
        if self.pair_by == "none":
            return trn("{count} value, not paired", "{count} values, not paired", self.pairs)
        return counted(self.pair_by, self.pairs)

    def _levels(self, decimals: int) -> Message:
        values = {
            "now": self._shown(f"{self.now or 0.0:.{decimals}f}"),
            "baseline": self._shown(f"{self.baseline or 0.0:.{decimals}f}"),
            "difference": self._shown(f"{self.difference or 0.0:+.{decimals}f}"),
        }
        if self.better == "lower":
            return tr("{now}, baseline {baseline}, lower is better; improvement {difference}", **values)
        return tr("{now}, baseline {baseline}; difference {difference}", **values)

    def _outlook(self) -> Message:
        if self.more_pairs is None:
            return tr("more values would hardly settle it: the difference is too close to the margin")
        if self.evaluations:
            return trn(
                "about {count} more evaluation would settle it",
                "about {count} more evaluations would settle it",
                self.more_pairs,
            )
        more = {
            "date": trn(
                "about {count} more date would settle it", "about {count} more dates would settle it", self.more_pairs
            ),
            "example": trn(
                "about {count} more example would settle it",
                "about {count} more examples would settle it",
                self.more_pairs,
            ),
            "none": trn(
                "about {count} more value would settle it", "about {count} more values would settle it", self.more_pairs
            ),
        }
        return more[self.pair_by]


def _decimals(margin: float, lower: float, upper: float) -> int:
    """Three digits of the margin; more where rounding would hide on which side of the margin or of zero a bound is."""
    decimals = max(2 - math.floor(math.log10(margin)), 0)
    for more in range(decimals, MOST_DECIMALS):
        lower_is_clear = lower == -margin or round(lower, more) != -margin
        if lower_is_clear and (not upper or round(upper, more)):
            return more
    return decimals
