"""Carry out an action that replaces no files of the project: plan it, show the plan, do what the plan says."""

from __future__ import annotations

from contextlib import nullcontext

from atftctl.domain.errors import Busy, Refused
from atftctl.domain.result import Result
from atftctl.operations.change import waiting
from atftctl.operations.change.change import Action
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project
from atftctl.operations.request import Request, Stopwatch, review
from atftctl.protocol.messages import tr


def perform(project: Project, action: Action, request: Request, *, ask: bool = False, lock: bool = True) -> Result:
    """Plan, show the plan where somebody looks at it, then plan again under the project's lock and act.

    `ask`: the operator confirms the plan first. `lock`: False for what touches nothing of the project. Raises Refused
    where the plan changed after it was confirmed, or compared with a saved one; AtftError for every other end.
    """
    if lock:
        _before(project, action, request)
    shown = None
    if ask or request.shows_plans:
        shown = action.decide()
        if dry_run := review(shown, request, ask=ask, **action.details()):
            return dry_run
    watch = Stopwatch(request.report)
    with locked(project, action.command, request) if lock else nullcontext():
        if action.waits:
            waiting.refuse_other(project.layout, "")
        plan = action.decide()  # recovery, which came first, may have changed what is there
        if shown and action.identity(plan) != action.identity(shown):
            raise Refused(
                tr("the plan is out of date: its steps have changed since it was shown"),
                hint=tr("run this command again and review the new plan"),
            )
        return action.act(plan, watch)


def _before(project: Project, action: Action, request: Request) -> None:
    """Carry out an overdue undo first. An action that need not wait for confirmations goes on in any case, also where
    a change waits or its undo fails: a trainer must be stoppable."""
    try:
        request.before(project, request, "")
    except Busy:
        raise
    except Refused as error:
        if action.waits:
            raise
        request.report.note(error.message)
