"""What `trainer check` saw of a trainer: facts, from which decide/conformance.py makes its verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.record import record


@record
class Ended:
    """How a run ended that was asked to. `code`: its exit code, negative for a signal; None where it had to be killed.
    `seconds`: until then. `saved`: checkpoints that changed after it was asked. `section`: of the heartbeat when it was
    asked. `step`: of its last event; None where it wrote none."""

    code: int | None
    seconds: float
    saved: tuple[str, ...] = ()
    section: str = ""
    step: int | None = None


@record
class RunSeen:
    """One run. `began`: by what that was seen; "" where nothing said so. `alive`: was it running when it was last
    looked at? `losses`: by step, as the metrics have them. `output`: its last line."""

    began: Literal["", "event", "metrics"] = ""
    alive: bool = False
    events: frozenset[str] = frozenset()
    first_step: Mapping[str, Any] = field(default_factory=dict)
    effective: bool = False
    columns: tuple[str, ...] = ()
    losses: Mapping[int, float] = field(default_factory=dict)
    beat: Mapping[str, Any] = field(default_factory=dict)
    last_step: int | None = None
    output: str = ""
    ended: Ended | None = None

    @property
    def from_step(self) -> int | None:
        """The first step that it trained; None where nothing tells."""
        step = self.first_step.get("step")
        return step if type(step) is int else min(self.losses, default=None)


@record
class Facts:
    """All runs of a check. `whole`: the one that was not interrupted; `reload`: the answer to a request to load
    settings; `fenced`: how it ended when a newer trainer was started; `stopped`, `resumed`: the run that was asked to
    stop, and the one that continues it; `kill`: did SIGKILL come while it was saving; `after_kill`: the run after that.
    None: not tried."""

    digest: str
    columns: Mapping[str, str]  # those that the runbook names, by what they are for
    whole: RunSeen
    reload: Mapping[str, Any] | None = None
    fenced: Ended | None = None
    stopped: RunSeen | None = None
    resumed: RunSeen | None = None
    kill: Literal["", "during", "after"] = ""
    after_kill: RunSeen | None = None
    in_evaluation: Ended | None = None
    in_saving: Ended | None = None
