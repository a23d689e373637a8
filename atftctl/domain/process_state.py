"""The state of the trainer's process, worked out from its record, the process table and the trainer's own events. The
state itself is stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from atftctl.domain.record import record
from atftctl.protocol.messages import Message, tr

ProcessState = Literal[
    "never started",
    "waiting",
    "starting",
    "running",
    "stopping",
    "stopped",
    "finished",
    "died",
    "lost",
    "unknown",
    "elsewhere",
]

# By state, the states that may follow it. `running` means healthy: the first step came, with the settings written.
FOLLOWS: dict[ProcessState, tuple[ProcessState, ...]] = {
    "never started": ("waiting", "starting"),
    "waiting": ("starting", "stopping", "stopped", "died"),
    "starting": ("running", "stopping", "stopped", "died", "lost", "finished"),
    "running": ("stopping", "stopped", "died", "lost", "finished"),
    "stopping": ("stopped", "died", "lost", "finished"),
    "stopped": ("waiting", "starting"),
    "finished": ("waiting", "starting"),
    "died": ("waiting", "starting"),
    "lost": ("running", "stopped", "died", "finished", "waiting", "starting"),
    "unknown": ("waiting", "starting", "running", "stopping", "stopped", "finished", "died", "lost"),
    "elsewhere": ("waiting", "starting"),
}


STATE_TEXTS: Mapping[ProcessState, Message] = {  # as people read them; JSON has the states themselves
    "never started": tr("never started"),
    "waiting": tr("waiting in the queue"),
    "starting": tr("starting"),
    "running": tr("running"),
    "stopping": tr("stopping"),
    "stopped": tr("stopped"),
    "finished": tr("finished"),
    "died": tr("died"),
    "lost": tr("not known to have ended"),
    "unknown": tr("not known"),
    "elsewhere": tr("started elsewhere"),
}


@record
class Signs:
    """What is known of the recorded run; `recorded` is False where there is no record of any run."""

    recorded: bool = True
    alive: bool = False
    waiting: bool = False  # it was submitted, and has not begun
    lost: bool = False  # it may have ended, and nobody can show it
    unknown: bool = False  # whoever knows it does not answer
    elsewhere: bool = False  # it was started on another machine: its pid is not valid here
    asked_to_stop: bool = False  # by `on_purpose`, or by an operation in progress
    on_purpose: bool = False  # the record says that the trainer is to stay stopped
    first_step: bool = False  # the trainer has reported its first step
    ended: Literal["", "finished", "stopped"] = ""  # how it ended, by its final event


def state_of(signs: Signs) -> ProcessState:
    """The state that these signs mean."""
    if not signs.recorded:
        return "never started"
    if signs.elsewhere:
        return "elsewhere"
    if signs.unknown:
        return "unknown"
    if signs.lost:
        return "lost"
    if signs.waiting and not signs.asked_to_stop:
        return "waiting"
    if signs.alive:
        return "stopping" if signs.asked_to_stop else "running" if signs.first_step else "starting"
    if signs.on_purpose:
        return "stopped"
    return signs.ended or "died"
