"""The runbook's own rules: a metric above or below a limit, for a number of rows in a row."""

from __future__ import annotations

import math

from atftctl.domain.detector_rules import DetectorRule
from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr


def is_over(rule: DetectorRule, value: float) -> bool:
    """Is the value where the rule says that it must not be? NaN is nowhere: another detector reports it."""
    if math.isnan(value):
        return False
    return (rule.above is not None and value > rule.above) or (rule.below is not None and value < rule.below)


def take(rows: int, name: str, rule: DetectorRule, step: int, value: float) -> tuple[int, Finding | None]:
    """(how many rows in a row are over the limit, the finding where the alarm begins)."""
    if not is_over(rule, value):
        return 0, None
    after = min(rows + 1, rule.rows)
    if after < rule.rows or rows >= rule.rows:
        return after, None
    limit = rule.above if rule.above is not None and value > rule.above else rule.below
    template = tr("{metric} was above {limit:g} for {rows} rows: {value:.4g} in step {step}",
                  metric=rule.metric, limit=limit, rows=rule.rows, value=value, step=step)  # fmt: skip
    if limit == rule.below:
        template = tr("{metric} was below {limit:g} for {rows} rows: {value:.4g} in step {step}",
                      metric=rule.metric, limit=limit, rows=rule.rows, value=value, step=step)  # fmt: skip
    return after, Finding(name, rule.metric, step, template)
