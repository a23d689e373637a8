"""Which grade a checkpoint has, by what the trainer's probe measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from atftctl.decide.verdicts import probe_rows
from atftctl.domain.checkpoint import GRADES, Grade, Graded
from atftctl.domain.metrics_window import Window
from atftctl.domain.verdict import Verdict
from atftctl.protocol import TrainerExit
from atftctl.protocol.messages import tr

ENDS = 10  # rows at the beginning and at the end that are compared
GROWTH = 1.5  # times the loss at the beginning; healthy runs, also from new weights, stay below 1.2 (measured)


def rank(grade: Grade) -> int:
    """The position of a grade among all grades."""
    return GRADES.index(grade)


def judge(sha256: str, answer: Mapping[str, Any], *, steps: int, grad_norm_max: float, config: str) -> Graded | None:
    """Return the grade of a whole checkpoint by the answer of the probe; None where it answers nothing about this one,
    because another file had its name by then, the answer can't be read, or the memory ran out.

    `steps`: training steps that were asked for; 0 for none. `config`: the digest of the settings.
    """
    if answer.get("sha256") != sha256 or answer.get("exit_code") == TrainerExit.OUT_OF_MEMORY:
        return None

    def graded(grade: Grade, failed: Grade = "", reason: str = "", taken: int = 0) -> Graded:
        return Graded(sha256, grade, failed, reason[:300], config, steps=taken)

    if answer.get("refused"):
        return graded("whole", "loads", str(answer["refused"]))
    rows = answer.get("rows")
    if not steps or not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return graded("loads")
    if answer.get("ended"):
        text = tr("training ended after {steps} steps: {reason}", steps=len(rows), reason=str(answer["ended"]))
        return graded("loads", "steps", text, len(rows))
    seen = probe_rows.window_of(rows)
    verdict, reason = probe_rows.judge(seen, steps=steps, grad_norm_max=grad_norm_max)
    wrong = reason if verdict is Verdict.FAIL else _grows(seen)
    if wrong:
        return graded("loads", "steps", wrong, len(rows))
    return graded("steps" if verdict is Verdict.PASS else "loads", taken=len(rows))


def _grows(seen: Window) -> str:
    """Say that the loss is far higher at the end than at the beginning; "" where it is not."""
    for name in ("loss_rel", "loss"):
        losses = seen.column(name)
        if len(losses) >= 2 * ENDS and min(losses) > 0:
            first, last = median(losses[:ENDS]), median(losses[-ENDS:])
            if last > GROWTH * first:
                return tr("the loss grows: {before:.4g} at first, {now:.4g} now", before=first, now=last)
            return ""
    return ""
