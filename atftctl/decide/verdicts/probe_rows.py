"""Is a short training of the probe healthy? Its answer names its columns in one way, whatever the runbook says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from atftctl.decide.detectors.bank import Rules
from atftctl.decide.verdicts import health
from atftctl.domain.detector_rules import Detection, DetectorRule
from atftctl.domain.metrics_window import Window
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import tr

LOSS, RELATIVE, GRADIENT, MEMORY = "loss", "loss_rel", "grad_norm", "rss_mb"
WORTHLESS = 2.0  # times the loss of predicting nothing, whose relative loss is 1
DEFAULT = Detection()


def window_of(rows: Sequence[Mapping[str, Any]]) -> Window:
    """The rows of an answer as what was seen of a trainer that runs."""
    return Window([{name: str(value) for name, value in row.items()} for row in rows], alive=True)


def judge(
    seen: Window, *, steps: int, grad_norm_max: float, limits: Detection = DEFAULT, leak: bool = False
) -> tuple[Verdict, str]:
    """Return the verdict and the reason for it, as `health.judge`. A training whose relative loss is not known can
    fail, and can't pass. `limits`: the thresholds of the runbook."""
    worthless = DetectorRule(RELATIVE, above=WORTHLESS, rows=health.OF, symptom=RELATIVE)
    rules = Rules(
        RELATIVE, GRADIENT, MEMORY, gradient_max=grad_norm_max, thresholds={"worthless": worthless}, limits=limits
    )
    if not all(map(math.isfinite, seen.column(LOSS))):
        return Verdict.FAIL, tr("{metric} is not finite", metric=LOSS)
    verdict, detail = health.judge(seen, rules, steps=steps, leak=leak)
    if verdict is not Verdict.FAIL and not health.is_known(seen, rules, RELATIVE):
        absolute = health.judge(seen, Rules(LOSS, limits=limits), steps=steps)
        return absolute if absolute[0] is Verdict.FAIL else (verdict, detail)
    return verdict, detail
