"""Something that is wrong with the service."""

from __future__ import annotations

from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.protocol.messages import joined


@record
class Fault(Data):
    """Something that is wrong.

    name: the part that it concerns, such as `trainer`, `snapshots`, or the path of a config. message: what is wrong.
    hint: a command that helps, or empty. blocks: whether a rollback or a start is refused because of it.
    """

    name: str
    message: str
    hint: str = ""
    blocks: bool = False

    @property
    def text(self) -> str:
        """The message and the hint in one line."""
        return joined(" → ", (self.message, self.hint)) if self.hint else self.message
