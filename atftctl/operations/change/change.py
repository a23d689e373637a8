"""What a verb wants changed, as a value: how it is decided, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.operations.request import Stopwatch


def still_valid() -> None:
    """The check of a change that nothing else can outdate."""


@dataclass(frozen=True)
class Change:
    """A change of files, carried out as one transaction (`carry_out`).

    `decide`: the plan for what was observed; raises AtftError. `digests_of`: files besides the configs whose hash the
    decision needs. `contents`: the content of files that come from a commit. `check`: raises Refused where what the
    change was made from has changed since.
    """

    decide: Callable[[Facts], Plan]
    digests_of: tuple[str, ...] = ()
    contents: Mapping[str, bytes] = field(default_factory=dict)
    check: Callable[[], None] = still_valid


@dataclass(frozen=True)
class Action:
    """A change of anything else: the trainer's process, snapshots, a folder outside (`perform`).

    `decide`: observes and plans; raises AtftError. `act`: does what the plan says, and nothing else. `identity`: what
    must be the same in the plan that was shown and in the plan that is made under the lock.
    """

    command: str
    decide: Callable[[], Plan]
    act: Callable[[Plan, Stopwatch], Result]
    details: Callable[[], Mapping[str, Any]] = dict  # what a dry run reports beside the plan
    identity: Callable[[Plan], object] = lambda plan: [step.describe() for step in plan.steps]
