"""The one state machine of the trainer's process. Each state follows from the record, the process table and the
trainer's own events; nothing else keeps it."""

from __future__ import annotations

from typing import Literal

from atftctl.domain.record import record

ProcessState = Literal[
    "never started", "starting", "running", "stopping", "stopped", "finished", "died", "elsewhere",
]  # fmt: skip

# What may follow what. `running` is healthy: the first step was seen, with the settings that were written.
FOLLOWS: dict[ProcessState, tuple[ProcessState, ...]] = {
    "never started": ("starting",),
    "starting": ("running", "stopping", "stopped", "died", "finished"),
    "running": ("stopping", "stopped", "died", "finished"),
    "stopping": ("stopped", "died", "finished"),
    "stopped": ("starting",),
    "finished": ("starting",),
    "died": ("starting",),
    "elsewhere": ("starting",),
}


@record
class Signs:
    """What is known of the recorded run."""

    recorded: bool = True
    alive: bool = False
    elsewhere: bool = False  # its pid means something on another machine only
    asked_to_stop: bool = False  # by the record (on purpose), or by an operation that is under way
    on_purpose: bool = False
    first_step: bool = False
    ended: Literal["", "finished", "stopped"] = ""  # its own last word


def state_of(signs: Signs) -> ProcessState:
    if not signs.recorded:
        return "never started"
    if signs.elsewhere:
        return "elsewhere"
    if signs.alive:
        return "stopping" if signs.asked_to_stop else "running" if signs.first_step else "starting"
    if signs.on_purpose:
        return "stopped"
    return signs.ended or "died"
