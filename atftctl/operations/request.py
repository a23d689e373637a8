"""How a change is asked for: the request, the review of its plan, and the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.result import DryRunData, Part, Reporter, Result, Silent
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.decide.plans.builder import RestartPolicy
    from atftctl.operations.project import Project

Confirm = Callable[[Plan, tuple[str, ...]], bool]
Before = Callable[["Project", "Request", str], None]


def nothing(project: Project, request: Request, undoes: str) -> None:
    """Does nothing before a change."""
    del project, request, undoes


def yes(plan: Plan, diff: tuple[str, ...]) -> bool:
    """Confirms every plan."""
    del plan, diff
    return True


@record
class ConfirmWithin:
    """The change is undone unless it is confirmed within `seconds`. `by_verify`: a passing `verify` confirms it, too.
    `policy`: what the change may do with the trainer; the undo may do the same."""

    seconds: int
    by_verify: bool
    policy: RestartPolicy


@record
class RehearseFirst:
    """The planned settings train `steps` steps in a scratch copy before the plan is shown. `force`: why the change may
    be made although that did not pass; "" where it may not."""

    steps: int
    force: str = ""


@record
class Request:
    """How a change is asked for.

    `or_undo`: undo the change where the trainer is not healthy after it. `confirm`: asks the operator. `seen`: gets
    every plan before anything else is done with it, and may raise: `plan save` and `plan apply` use it.
    `confirm_within`: the change is undone unless it is confirmed; None where it needs no confirmation. `rehearse`: the
    planned settings train first; None where they don't. `before`: is called before a change is planned, with the
    operation that it undoes or ""; may raise Refused. It carries out an overdue undo, which this module and the change
    itself can't import.
    """

    reason: str = ""
    dry_run: bool = False
    or_undo: bool = False
    confirm: Confirm = yes
    seen: Confirm = yes
    report: Reporter = field(default_factory=Silent)
    confirm_within: ConfirmWithin | None = None
    rehearse: RehearseFirst | None = None
    before: Before = nothing

    @property
    def shows_plans(self) -> bool:
        """Does anybody look at a plan before it is carried out?"""
        return self.dry_run or self.seen is not yes

    @property
    def may_run_filters(self) -> bool:
        """May filters of the repository run? They are programs of the project, and a dry run changes nothing."""
        return not self.dry_run


def review(
    plan: Plan,
    request: Request,
    diff: Sequence[str] = (),
    parts: Sequence[Part] = (),
    *,
    ask: bool = True,
    **details: Any,
) -> Result | None:
    """Show the plan: the result of a dry run, or None to go on. `ask`: the operator must confirm the plan.

    Raises Refused where the operator declined.
    """
    lines = tuple(diff)
    request.seen(plan, lines)
    if request.dry_run:
        headline = tr("dry run: {title}", title=plan.title)
        return Result(
            plan.command,
            Exit.DONE,
            headline,
            plan=plan,
            parts=tuple(parts),
            data=DryRunData(diff=lines, details=details),
        )
    if ask and not request.confirm(plan, lines):
        raise Refused(tr("aborted: declined at the prompt"))
    return None


class Stopwatch:
    """How long each part took; tells the reporter when one begins."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self.parts: list[Part] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._report.part(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.parts.append(Part(name, time.monotonic() - begun))
