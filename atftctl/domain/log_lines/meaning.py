"""What a line says of a fault: its root cause, a consequence of it, or the teardown, and its symptom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import DEFAULTS, ErrorPattern
from atftctl.domain.log_lines.signatures import SIGNATURES


class Meanings:
    """Gives a line its meaning. A kind of the runbook that has no role comes before the known kinds, and would hide
    what they say: its lines mean what the first known kind says that matches them."""

    def __init__(self, kinds: Sequence[ErrorPattern]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._known = Matcher((*SIGNATURES, *DEFAULTS))

    def of(self, name: str, text: str) -> ErrorPattern | None:
        """The kind of this name, with the role and the symptom that it has in this line; None for no kind at all."""
        kind = self._kinds.get(name)
        if kind is None or kind.role:
            return kind
        if kind.symptom:
            return replace(kind, role="root-cause")
        number = self._known.kind(text)
        known = self._known.patterns[number] if number is not None else kind
        return replace(kind, role=known.role, symptom=known.symptom or known.name) if known.role else kind
