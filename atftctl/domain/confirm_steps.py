"""The step of a plan that waits for a confirmation."""

from __future__ import annotations

from atftctl.domain.duration import duration_text
from atftctl.domain.record import record
from atftctl.protocol.messages import tr


@record
class AwaitConfirmation:
    """Undo the change unless the operator confirms it within `within_s` seconds. `by_verify`: a passing `verify` of
    exactly this state confirms it, too. `restart`, `live`: how the change treats the trainer, and its undo, too."""

    within_s: int
    by_verify: bool = False
    restart: bool = True
    live: bool = False

    def describe(self) -> str:
        duration = duration_text(self.within_s)
        if self.by_verify:
            return tr(
                "undo all of this unless `atftctl confirm` or a passing `atftctl verify` comes within {duration}",
                duration=duration,
            )
        return tr("undo all of this unless `atftctl confirm` comes within {duration}", duration=duration)
