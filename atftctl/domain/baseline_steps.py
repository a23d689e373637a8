"""The steps of a plan that choose or remove a recorded baseline."""

from __future__ import annotations

from atftctl.domain.record import record
from atftctl.protocol.messages import Message, tr


@record
class UseBaseline:
    """Have `verify` compare with this baseline."""

    name: str

    def describe(self) -> Message:
        return tr("compare with the baseline {name} from now on", name=self.name)


@record
class RemoveBaseline:
    """Remove a baseline for good. `recorded`: when it was recorded; "" where that is not known. `in_use`: is it the one
    that `verify` compares with?"""

    name: str
    recorded: str
    in_use: bool

    def describe(self) -> Message:
        if not self.recorded:
            return tr("remove the baseline {name}, which can't be used", name=self.name)
        if self.in_use:
            return tr(
                "remove the baseline {name} (recorded {time}), which is in use", name=self.name, time=self.recorded
            )
        return tr("remove the baseline {name} (recorded {time})", name=self.name, time=self.recorded)
