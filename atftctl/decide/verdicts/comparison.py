"""The result of a comparison with the baseline, as a record and as a sentence."""

from __future__ import annotations

import math

from atftctl.domain.metric_rules import Direction
from atftctl.domain.record import record
from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol.messages import Message, joined, tr, trn

FIGURES = ("dates", "now", "baseline", "difference", "lower", "upper", "margin", "more_dates")  # of `--json`
MOST_DECIMALS = 12


@record
class Comparison:
    """What a comparison with the baseline found.

    margin: the loss that is accepted, in the unit of the measure. dates: how many dates have a value on both sides.
    now, baseline: the means over these dates. difference: their mean difference, positive where it is better now, also
    of a measure whose lower values are better. lower, upper: its one-sided 95 % bounds. more_dates: how many more dates
    would settle an inconclusive verdict. problem: why the bounds are not the reason of the verdict. What is not known
    is None.
    """

    title: str
    better: Direction
    margin: float
    dates: int
    verdict: Verdict = Verdict.INCONCLUSIVE
    now: float | None = None
    baseline: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    more_dates: int | None = None
    problem: str = ""

    @property
    def improved(self) -> bool:
        """Is the measure restored, and its mean above the baseline's? For gates that ask for an improvement."""
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
            "lower": f"{lower:+.{decimals}f}",
            "upper": f"{upper:+.{decimals}f}",
            "margin": f"{-self.margin:g}",
            "dates": f"{self.dates:,}",
        }
        if self.verdict is Verdict.PASS:
            return tr("{levels}, lower 95 % bound {lower} > {margin}: restored ({dates} dates)", **values)
        if self.verdict is Verdict.FAIL:
            return tr("{levels} <= {margin}, upper 95 % bound {upper} < 0: degraded ({dates} dates)", **values)
        return tr("{levels}, 95 % bounds {lower} and {upper}, margin {margin}: inconclusive ({dates} dates)", **values)

    def _levels(self, decimals: int) -> Message:
        values = {
            "now": f"{self.now or 0.0:.{decimals}f}",
            "baseline": f"{self.baseline or 0.0:.{decimals}f}",
            "difference": f"{self.difference or 0.0:+.{decimals}f}",
        }
        if self.better == "lower":
            return tr("{now}, baseline {baseline}, lower is better; improvement {difference}", **values)
        return tr("{now}, baseline {baseline}; difference {difference}", **values)

    def _outlook(self) -> Message:
        if self.more_dates is None:
            return tr("more dates would hardly settle it: the difference is too close to the margin")
        return trn(
            "about {count} more date would settle it", "about {count} more dates would settle it", self.more_dates
        )


def _decimals(margin: float, lower: float, upper: float) -> int:
    """Three digits of the margin; more where rounding would hide on which side of the margin or of zero a bound is."""
    decimals = max(2 - math.floor(math.log10(margin)), 0)
    for more in range(decimals, MOST_DECIMALS):
        lower_is_clear = lower == -margin or round(lower, more) != -margin
        if lower_is_clear and (not upper or round(upper, more)):
            return more
    return decimals
