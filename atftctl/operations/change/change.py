"""A change as a value: how it is decided, and how it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.result import Result
from atftctl.operations.request import Stopwatch


def always_valid() -> None:
    """Check nothing: for a change that only depends on the files that it replaces."""


def keep_nothing(plan: Plan) -> None:
    """Keep nothing: for a change that is not part of anything longer."""
    del plan


@record
class Change:
    """A change of files, carried out as one transaction (`carry_out`).

    `decide`: the plan for what was observed; raises AtftError. `digests_of`: files besides the configs whose hash the
    decision needs. `contents`: the content of files that come from a commit. `check`: raises Refused where what the
    change was made from has changed since. `begin`: keeps a record of our own that a longer piece of work needs; it is
    called under the lock, right before the operation begins. `undoes`: the operation that this change undoes, or "".
    """

    decide: Callable[[Facts], Plan]
    digests_of: tuple[str, ...] = ()
    contents: Mapping[str, bytes] = field(default_factory=dict)
    check: Callable[[], None] = always_valid
    begin: Callable[[Plan], None] = keep_nothing
    undoes: str = ""


@record
class Action:
    """A change of anything else: the trainer's process, snapshots, a folder outside the project (`perform`).

    `decide`: observes and plans; raises AtftError. `act`: does what the plan says, and nothing else. `details`: what a
    dry run reports beside the plan. `identity`: what must be the same in the plan that was shown and in the plan that
    is made under the lock. `waits`: it is refused while another change waits for its confirmation.
    """

    command: str
    decide: Callable[[], Plan]
    act: Callable[[Plan, Stopwatch], Result]
    details: Callable[[], Mapping[str, Any]] = dict
    identity: Callable[[Plan], object] = lambda plan: [step.describe() for step in plan.steps]
    waits: bool = False
