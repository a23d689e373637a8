"""From when on something is shown: what people type after `--since`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from atftctl.domain.moments import moment_of
from atftctl.domain.record import record
from atftctl.protocol.messages import tr

FORMS = tr("a time span such as 90s, 30min, 2h or 1d; a time such as 10:31 or 2026-11-30 10:31; start; all")


@record
class Since:
    """`start`: the last start of the trainer. `all`: everything. `time`: from `at` on, in Unix seconds."""

    kind: Literal["start", "all", "time"]
    at: float = 0.0


def parse_since(text: str, now: datetime) -> Since:
    """What `--since TEXT` means. now: with its zone; a time without a zone is in it, and a time without a day is the
    last such time. Raises ValueError with the reason."""
    text = text.strip()
    if text == "start":
        return Since("start")
    if text == "all":
        return Since("all")
    moment = moment_of(text, now)
    if moment is None:
        raise ValueError(tr("{text!r} is none of: {forms}", text=text, forms=FORMS))
    if moment > now:
        raise ValueError(tr("{text!r} is in the future", text=text))
    return Since("time", moment.timestamp())
