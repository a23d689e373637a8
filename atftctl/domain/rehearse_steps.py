"""The step of a plan that says how its rehearsal went. The rehearsal comes before the plan is shown."""

from __future__ import annotations

from atftctl.domain.record import record
from atftctl.protocol.messages import tr


@record
class Rehearse:
    """The planned settings trained `steps` steps from `checkpoint` in a scratch copy; `result`: the verdict in words.
    `forced`: the operator's reason to go on although the rehearsal did not pass; "" where it did."""

    steps: int
    checkpoint: str
    result: str
    forced: str = ""

    def describe(self) -> str:
        source = tr("new weights") if self.checkpoint == "scratch" else self.checkpoint
        values = {"checkpoint": source, "result": self.result}
        if self.forced:
            return tr(
                "rehearsed in a scratch copy, from {checkpoint}: not passed, forced ({reason}): {result}",
                reason=self.forced,
                **values,
            )
        return tr("rehearsed in a scratch copy, from {checkpoint}: {result}", **values)
