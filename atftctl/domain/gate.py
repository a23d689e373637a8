"""The gate of a phase of `reenable`: what must be seen before the next phase may follow."""

from __future__ import annotations

from typing import Any, Literal

from atftctl.domain.checks import CHECKS
from atftctl.domain.record import record
from atftctl.domain.texts import Text
from atftctl.protocol.messages import Message, joined, tr

QUALITY = "quality"  # the check of the forecasts' quality: `Gate.quality` asks for it
MODEL = "model"  # its figures say which file the quality was measured on
GATE_CHECKS = tuple(name for name in CHECKS if name != QUALITY)  # those that `Gate.checks` may name
MOST_STEPS = 10_000  # that a gate may ask for: the metrics of many more are not read (observe.trainer_run.event_log)
Quality = Literal["", "no-worse", "improved"]


@record
class Gate:
    """What the trainer must show in a phase. `steps`: healthy training steps since the phase began; before that, the
    weights are still the ones of before. `window_s`: seconds to wait for them at most. `checks`: of `verify`.
    `quality`: "no-worse" than the baseline, "improved" (also a better mean), or not judged. `source`: where the rule
    comes from."""

    steps: int = 200
    window_s: float = 600.0
    checks: tuple[str, ...] = ("model", "training", "errors", "service")
    quality: Quality = ""
    source: Text | None = None

    def describe(self) -> Message:
        """What must be seen, in one line."""
        return joined("; ", self.rules())

    def rules(self) -> list[Message]:
        """What must be seen, one by one."""
        return [
            tr("{steps} healthy steps within {seconds:g} s", steps=self.steps, seconds=self.window_s),
            *([tr("checks {names}", names=", ".join(self.checks))] if self.checks else []),
            *([tr("quality {rule}", rule=QUALITY_TEXTS[self.quality])] if self.quality else []),
        ]

    def contents(self) -> dict[str, Any]:
        """What the gate asks for, as JSON holds it."""
        return {
            "steps": self.steps,
            "window_s": float(self.window_s),
            "checks": list(self.checks),
            "quality": self.quality,
        }


QUALITY_TEXTS = {"no-worse": tr("no worse than the baseline"), "improved": tr("better than the baseline")}


@record
class WatchGate:
    """The last step of a phase: watch the trainer and judge it by the phase's gate."""

    gate: Gate
    source: str  # where the rule comes from, in the operator's language

    def describe(self) -> Message:
        rules = self.gate.rules()
        if self.source:
            rules.append(tr("source: {source}", source=self.source))
        return tr("watch the trainer, and undo this phase where its gate fails: {gate}", gate=joined("; ", rules))


@record
class DecideByHand:
    """Record what the operator decides about the phases, such as a halt; changes no file of the project."""

    text: Message

    def describe(self) -> Message:
        return self.text
