"""How far the watcher may act, what it has done, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, Literal

from atftctl.domain.record import record
from atftctl.protocol.messages import Message, tr

Mode = Literal["propose", "shadow", "auto"]
# idle: there is nothing to act on. hold: there is, and something stands in the way.
Kind = Literal["idle", "hold", "propose", "act", "page"]
# forgotten: decided, and never begun. put back: begun, and reversed; nothing has changed. failed: the trainer did not
# come up with the new settings. shadow: it was only written down. The others say what the trainer was like after it.
Outcome = Literal["", "restored", "not restored", "inconclusive", "failed", "put back", "forgotten", "shadow"]

OUTCOME_TEXTS: Mapping[str, Message] = {  # what became of a rollback that was begun or decided
    "restored": tr("the trainer is healthy again"),
    "not restored": tr("the fault is back, or the trainer has died"),
    "inconclusive": tr("it is not known whether the trainer is healthy"),
    "failed": tr("the trainer did not come up"),
    "put back": tr("interrupted, and everything was put back"),
    "forgotten": tr("decided before the watcher was killed, and never begun"),
}


@record
class Acting:
    """The limits of `watch --auto`. `rollbacks`: in one run at most. `cool_down_s`: seconds from the end of one
    rollback to the next. `healthy_steps`: after a rollback, until the trainer counts as restored. `within_s`: seconds
    for them."""

    rollbacks: int = 3
    cool_down_s: float = 300.0
    healthy_steps: int = 300
    within_s: float = 900.0


@record
class Act:
    """One rollback that the watcher has decided. `at`, `ended`: when it was decided, and when its operation had ended,
    in Unix seconds; 0 where it has not. `fault`: how the fault was seen, without numbers. `generation`, `step`,
    `config`: of the trainer at the fault. `answer`: a digest of what the plan changes and resumes from. `operation`:
    its id; "" until it is known. `restarted`: the generation of the trainer that it started; `from_step`: the first
    step that was seen of it, -1 until then."""

    id: str
    at: float
    mode: Mode
    symptom: str
    fault: str
    generation: int
    step: int
    config: str = ""
    evidence: tuple[str, ...] = ()
    answer: str = ""
    operation: str = ""
    ended: float = 0.0
    restarted: int = 0
    from_step: int = -1
    outcome: Outcome = ""

    @property
    def is_open(self) -> bool:
        """Is it not known yet what became of it?"""
        return self.mode == "auto" and not self.outcome and not self.ended

    @property
    def was_begun(self) -> bool:
        """Was anything done, or written down as what would have been?"""
        return self.outcome != "forgotten"


@record
class Standing:
    """How long a signal has stood. `generation`: of the trainer. `evaluations`: how many it had finished when one was
    counted last. `seen`: on how many evaluations running the signal stood."""

    generation: int
    evaluations: int
    seen: int = 0


@record
class Stopped:
    """The watcher has called for a person, and does not act until one has taken over. `at`: in Unix seconds."""

    at: float
    why: str


@record
class Memory:
    """What the watcher remembers, also after a reboot. `acts`: the oldest first. `standing`: by symptom. `generation`,
    `evaluations`: of the trainer at the last look. `stopped`: None where it may act. `reset`: when a person let it act
    again, in Unix seconds."""

    acts: tuple[Act, ...] = ()
    standing: Mapping[str, Standing] = field(default_factory=dict)
    generation: int = 0
    evaluations: int = 0
    stopped: Stopped | None = None
    reset: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As values that JSON has."""
        return {
            "acts": [vars(act) for act in self.acts],
            "standing": {name: vars(standing) for name, standing in self.standing.items()},
            "generation": self.generation,
            "evaluations": self.evaluations,
            "stopped": vars(self.stopped) if self.stopped else None,
            "reset": self.reset,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Memory:
        """The memory that a JSON object describes. Raises KeyError, TypeError or ValueError where it describes none."""
        stopped = body["stopped"]
        return cls(
            tuple(_act(entry) for entry in body["acts"]),
            {str(name): _made(Standing, standing) for name, standing in body["standing"].items()},
            _of(body["generation"], int),
            _of(body["evaluations"], int),
            None if stopped is None else _made(Stopped, stopped),
            float(_of(body["reset"], (int, float))),
        )


@record
class Past:
    """What the history says about the acts. `since`: when the present run began, in Unix seconds: the acts before it
    don't count for its budget. `undone`: operations of the watcher that were undone by a person."""

    since: float = 0.0
    undone: frozenset[str] = frozenset()


@record
class Decision:
    """What the watcher does about a look. `why`: in a sentence. `symptom`, `command`: what helps; "" for nothing.
    `evidence`: what speaks for it. `fault`: as an act has it. `operation`: the rollback that was carried out.
    `contacts`: whom to call. `left`: rollbacks that it may still do in this run. `settled`: earlier acts of which this
    look has shown what became."""

    kind: Kind
    why: str
    symptom: str = ""
    command: str = ""
    evidence: tuple[str, ...] = ()
    fault: str = ""
    operation: str = ""
    contacts: tuple[str, ...] = ()
    left: int | None = None
    settled: tuple[Act, ...] = ()


def _act(entry: Mapping[str, Any]) -> Act:
    made: Act = _made(Act, {**entry, "evidence": tuple(_of(text, str) for text in entry["evidence"])})
    if made.mode not in ("auto", "shadow"):
        raise ValueError(f"no act has the mode {made.mode!r}")
    return made


def _made(cls: Any, entry: Mapping[str, Any]) -> Any:
    """An object of this class. Each value must be of the type of its field."""
    kinds = {"int": int, "float": (int, float), "tuple[str, ...]": tuple}
    names = {each.name: kinds.get(str(each.type), str) for each in fields(cls)}
    return cls(**{name: _of(entry[name], kind) for name, kind in names.items()})


def _of(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is not of the type that an act has")
    return value
