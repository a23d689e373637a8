"""How it is recognised that a trainer is healthy after its start."""

from __future__ import annotations

from typing import Literal

from atftctl.domain.record import record
from atftctl.protocol.messages import joined, tr

# From the strongest to the weakest. first-step, reload: the trainer itself reported it, with the digest of its
# settings. metrics: it trains. output, command: what the runbook says that a healthy trainer does. alive: nothing more.
ProofKind = Literal["", "first-step", "reload", "metrics", "output", "command", "alive"]


@record
class Ready:
    """How a trainer that writes no events is recognised as healthy after its start; exactly one of these is set.

    `alive_s`: it was alive for so many seconds. `pattern`: a regular expression that a line of its output matches.
    `metrics`: a row was written, and a later one with a later step. `command`: a program that exits with 0, tried
    again and again.
    """

    alive_s: float = 0.0
    pattern: str = ""
    metrics: Literal["", "advances"] = ""
    command: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[ProofKind, ...]:
        """What is set; one in a runbook without problems."""
        known: tuple[tuple[ProofKind, object], ...] = (
            ("alive", self.alive_s),
            ("output", self.pattern),
            ("metrics", self.metrics),
            ("command", self.command),
        )
        return tuple(kind for kind, value in known if value)

    @property
    def kind(self) -> ProofKind:
        """The kind of proof that is waited for."""
        return next(iter(self.kinds), "first-step")

    @property
    def waits_for(self) -> str:
        """What must come true, as a sentence."""
        match self.kind:
            case "alive":
                return tr("it is alive for {alive_s:g} s", alive_s=self.alive_s)
            case "output":
                return tr("a line of its output matches {pattern}", pattern="'" + self.pattern + "'")
            case "metrics":
                return tr("its metrics get two new rows, the second with a later step")
            case "command":
                return tr("this command exits with 0: {command}", command=joined(" ", self.command))
        return tr("it reports its first step")
