"""Say how the process of a probe ended that wrote no answer."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from atftctl.domain.missing_parts import NAME_PROBE
from atftctl.protocol.messages import Message, tr


def how_ended(ended: Any) -> str:
    """How the process ended. `ended`: `reason`, a text; or `limit_s`, its time limit; or `signal`; or `exit`."""
    facts = ended if isinstance(ended, Mapping) else {}
    if reason := facts.get("reason"):
        return str(reason) if not isinstance(reason, Message) else reason
    if isinstance(limit_s := facts.get("limit_s"), int | float):
        return tr("the probe did not end within {limit_s:g} s and was killed", limit_s=limit_s)
    number = facts.get("signal")
    if number == signal.SIGKILL:
        return tr("the probe was killed (SIGKILL); if the machine was short of memory, the kernel killed it")
    if isinstance(number, int):
        return tr("the probe crashed ({signal})", signal=_name(number))
    return tr("the probe ended with exit code {code}", code=facts.get("exit", "?"))


def what_to_do(missing: Mapping[str, Any]) -> Message:
    """What to do about a part that was not begun. `no_probe`: the runbook names none. `misbehaved`: the probe is there,
    and broke a limit or crashed."""
    if missing.get("no_probe"):
        return NAME_PROBE
    if missing.get("misbehaved"):
        return tr("check the program that trainer.probe names")
    return tr("check that the trainer is installed here: pip install 'atftctl[trainer]'")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
