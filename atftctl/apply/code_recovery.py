"""Recovery of what an operation changes beside its files: the branch, and the packages of the environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atftctl.apply import branch_move, packages
from atftctl.apply.moves import Move, untouched
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import InterventionNeeded
from atftctl.host.errors import HostError, reason
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout


def title_of(operation: str, intent: dict[str, Any]) -> str:
    """Name an operation by its command and id."""
    return f"{intent.get('command')} {operation}"


def change_packages(layout: Layout, intent: dict[str, Any]) -> list[str]:
    """Uninstall or put back the operation's packages, and say so. A failure is reported and stops nothing."""
    if not intent.get("packages"):
        return []
    try:
        packages.change(layout, intent["packages"])
    except (HostError, OSError, KeyError, TypeError) as error:
        return [tr("the packages could not be changed: {reason}; list them with: atftctl show", reason=reason(error))]
    return [tr("changed the packages")]


def move_branch(layout: Layout, operation: str, intent: dict[str, Any], files: Sequence[Move]) -> list[str]:
    """Move the operation's branch, and say so. Raises InterventionNeeded where that fails: the operation stays open."""
    move = _code_of(intent)
    if move is None:
        return []
    name = title_of(operation, intent)
    try:
        locks = branch_move.remove_our_locks(layout, move, str(intent.get("started", "")))
        branch_move.finish(layout, move, files, name)
    except HostError as error:
        raise InterventionNeeded(
            tr("{operation} was decided but its branch can't be moved: {reason}", operation=name, reason=reason(error)),
            state=tr(
                "all files are the new ones; {branch} still has to move from {old} to {new}",
                branch=move.branch,
                old=move.old[:12],
                new=move.new[:12],
            ),
            hint=tr(
                "remove the cause (a hook, a lock, another branch that is checked out; a commit made since then: git "
                "reset --soft {old}), then run: atftctl recover",
                old=move.old[:12],
            ),
        ) from None
    lines = []
    if locks:
        lines.append(tr("removed git's lock {locks}, left by the interrupted operation", locks=", ".join(locks)))
    return [*lines, tr("moved the branch")]


def refuse_moved(layout: Layout, operation: str, intent: dict[str, Any]) -> None:
    """Raise InterventionNeeded where the branch or the packages have changed already: only an undo reverts them too."""
    move = _code_of(intent)
    if (move and branch_move.has_moved(layout, move)) or packages.have_changed(intent.get("packages")):
        raise InterventionNeeded(
            tr(
                "{operation} can't be reversed: its branch or its packages have changed already",
                operation=title_of(operation, intent),
            ),
            state=untouched(layout),
            hint=tr("finish it with atftctl recover, then run: atftctl undo {operation}", operation=operation),
        )


def _code_of(intent: dict[str, Any]) -> CodeMove | None:
    """Read which branch the operation moves, None where it moves none. Raises InterventionNeeded."""
    if not intent.get("code"):
        return None
    try:
        return CodeMove.from_json(intent["code"])
    except (KeyError, TypeError, ValueError):
        raise InterventionNeeded(
            tr("the journal can't be trusted: its record of the branch is damaged"), state=tr("no file has changed")
        ) from None
