"""What each detector is doing: for people who look at a watcher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from atftctl.decide.detectors import cusum, explosion, hang, leak, non_finite, slow, step_time
from atftctl.decide.diagnosis.detected import Detected

State = Literal["quiet", "alarm", "warming up", "off"]


def detector_states(found: Detected, *, hangs: bool) -> Mapping[str, State]:
    """By detector: `alarm`; `quiet`; `warming up`, it has not seen enough yet; `off`, the trainer has no such column. A
    single spike has no duration and is left out. hangs: does the trainer?"""
    rules, ready = found.rules, found.ready
    roles = {
        non_finite.NAME: ("", rules.loss or rules.gradient),
        explosion.NAME: ("loss", rules.loss),
        explosion.LIMIT_NAME: ("", rules.gradient),
        cusum.NAME: ("loss", rules.loss),
        leak.NAME: ("memory", rules.memory),
        step_time.NAME: ("step_time", rules.step_time),
        slow.NAME: ("loss", "curve" if rules.curve.steps else ""),
    }
    states: dict[str, State] = {}
    for name, (role, column) in roles.items():
        waits = bool(role) and not ready.get(role, False)
        states[name] = "alarm" if name in found.active else "off" if not column else "warming up" if waits else "quiet"
    states[hang.NAME] = "alarm" if hangs else "quiet"
    return states | {name: "alarm" if name in found.active else "quiet" for name in rules.thresholds}
