"""After a crash: what had been decided is finished, what had not is unwound, anything else is left to a person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from atftctl.apply import commits, history, packages, process, quarantine, snapshots, transaction
from atftctl.apply.process import StartOrder
from atftctl.apply.transaction import Move
from atftctl.domain.code import CodeMove
from atftctl.domain.errors import NeedsPerson
from atftctl.domain.process import ProcessRecord
from atftctl.host import ourselves, procs, records
from atftctl.host.errors import HostError
from atftctl.host.files import fsync_dir, remove
from atftctl.host.layout import Layout
from atftctl.protocol import RUN_ID, Exit

# Of an intent, what only recovery needs.
NOT_TOLD = ("start", "start_again", "digest", "stopping", "code", "quarantine", "reload", "tool")


def recover(layout: Layout) -> list[str]:
    """Bring every open operation to its end, oldest first; a line for each. It may die and be called again.

    All records are read before anything is touched: one that is not whole, or newer than we are, stops it here.
    """
    try:
        found = {
            operation: {state: records.read(layout.journal, operation, state) or {} for state in states}
            for operation, states in records.states(layout.journal).items()
        }
    except records.BadRecordError as error:
        raise NeedsPerson(
            f"the journal can't be trusted: {error}",
            stands=f"nothing was touched; the journal is {layout.journal}, the snapshots are in {layout.backups}",
            then="a newer atftctl may know it; else compare files and snapshots, then move the journal away",
        ) from None
    lines = _sweep(layout)
    return lines + [line for operation, bodies in found.items() for line in _one(layout, operation, bodies)]


def _sweep(layout: Layout) -> list[str]:
    """What a crash left half-written, none of it ever visible as a record. Under the lock nobody else is writing."""
    opened = [layout.operations / operation for operation in records.states(layout.journal)]
    pages = (layout.runbook.parent, f".{layout.runbook.stem}.*.md.*.tmp")  # of `runbook render`
    for folder, pattern in (*((one, ".*.tmp") for one in (*opened, layout.state, layout.journal)), pages):
        removed = [remove(torn) for torn in folder.glob(pattern)]
        if any(removed):
            fsync_dir(folder)
    lines = []
    if gone := [name for name in snapshots.half_removed(layout) if not history.tells_of_removal(layout, name)]:
        title = f"finished taking away snapshot{'s' * (len(gone) > 1)} {', '.join(gone)}"
        entry = history.new_entry("recover", title, "", datetime.now().astimezone())
        lines.append(title)
        line = {**entry, "removed": gone, "outcome": "done", "exit_code": int(Exit.DONE)}
        try:
            history.append_freeing(layout, line, lambda: snapshots.sweep(layout))
        except OSError as error:  # the disk is full even so; a rescue goes on without the line
            lines.append(f"the history could not be told of it: {error.strerror}")
    commits.sweep_worktrees(layout)
    ourselves.sweep(layout.tools, _tools_in_use(layout))
    return lines + snapshots.sweep(layout)


def _tools_in_use(layout: Layout) -> set[str]:
    """Private copies of the tool that an open operation still needs."""
    return {str(records.try_read(path).get("tool")) for path in layout.journal.glob("*.intent.json")}


def _one(layout: Layout, operation: str, bodies: dict[str, dict[str, Any]]) -> list[str]:
    if "done" in bodies:
        transaction.sweep(layout, operation)
        return []
    if "intent" not in bodies:
        raise NeedsPerson(
            f"operation {operation} has no intent record",
            stands=f"nothing was touched; the journal is {layout.journal}",
        )
    if "commit" in bodies:
        return [_forward(layout, operation, bodies["intent"], bodies["commit"])]
    return [_back(layout, operation, bodies["intent"], bodies.get("begin"))]


def _forward(layout: Layout, operation: str, intent: dict[str, Any], commit: dict[str, Any]) -> str:
    moves = transaction.moves_of(commit)
    if any(ourselves.lies_in(layout.root / move.path.split("/")[0]) for move in moves):
        ourselves.load_all()
    transaction.roll_forward(layout, moves)
    branch = _move_branch(layout, operation, intent, moves)
    branch += _change_packages(layout, intent)
    if intent.get("quarantine"):
        with suppress(OSError):
            why = f"{intent['title']}, {operation}"
            quarantine.add(layout, str(intent["quarantine"]), why, datetime.now().astimezone())
    if intent.get("reload"):
        branch += "; a running trainer keeps its old settings: atftctl trainer reload"
    started = _bring_up(layout, intent.get("start"), str(intent.get("digest", "")))
    _close(layout, operation, intent, "done, finished by recovery")
    return f"finished {intent['command']} {operation}: all files are the new ones{branch}{started}"


def _change_packages(layout: Layout, intent: dict[str, Any]) -> str:
    if not intent.get("packages"):
        return ""
    try:
        packages.change(layout, intent["packages"])
    except (HostError, OSError) as error:
        names = ", ".join(str(one.get("name")) for one in intent["packages"]["packages"])
        way = "uninstall" if intent["packages"]["away"] else "install"
        return f"; the packages stay as they are ({error}): pip {way} {names}"  # no reason to stop a rescue for
    return "; the packages are changed"


def _move_branch(layout: Layout, operation: str, intent: dict[str, Any], files: Sequence[Move]) -> str:
    """Raises NeedsPerson where it can't be: the operation stays open, and is not called done."""
    if not intent.get("code"):
        return ""
    move = CodeMove.from_json(intent["code"])
    try:
        commits.finish(layout, move, files, f"{intent['command']} {operation}")
    except HostError as error:
        raise NeedsPerson(
            f"{intent['command']} {operation} was decided, and its branch can't be moved: {error}",
            stands=f"all files are the new ones; {move.branch} is to go from {move.old[:12]} to {move.new[:12]}",
            then="remove the cause (a hook, a lock, another branch that is checked out; a commit that came meanwhile: "
            f"git reset --soft {move.old[:12]}), then: atftctl recover",
        ) from None
    return "; the branch has moved"


def _back(layout: Layout, operation: str, intent: dict[str, Any], begin: dict[str, Any] | None) -> str:
    if begin:
        transaction.unstage(layout, transaction.moves_of(begin))
    _finish_stop(layout, intent.get("stopping") or [])
    started = _bring_up(layout, intent.get("start_again"), "")
    _close(layout, operation, {**intent, "files": []}, "put back by recovery")
    return f"unwound {intent['command']} {operation}: all files are the old ones{started}"


def _finish_stop(layout: Layout, stopping: list[dict[str, Any]]) -> None:
    """A trainer that was asked to stop may still be leaving; it is not taken for one that runs on."""
    for one in stopping:
        who = procs.Identity(int(one["pid"]), int(one["ticks"]), str(one["boot"]))
        if procs.alive(who):
            process.stop(layout, _record(layout), who, grace_s=float(one["grace_s"]), note=lambda _: None)


def _bring_up(layout: Layout, order: dict[str, Any] | None, digest: str) -> str:
    """The wanted state of the process: running, unless it is already."""
    if not order or _runs(layout):
        return ""
    try:
        record = process.start(layout, StartOrder.from_json(order), digest=digest, now=datetime.now().astimezone())
    except (HostError, OSError) as error:  # the files are what counts here; a bad command must not lock the project
        return f"; the trainer could not be started ({error}): mend trainer.command, then atftctl trainer start"
    return f"; started the trainer, pid {record.pid}"


def _runs(layout: Layout) -> bool:
    """Is the recorded trainer alive, or one whose record a crash cut short?"""
    record = _record(layout)
    if record is None:
        return False
    if record.pid:
        return procs.alive(procs.Identity(record.pid, record.ticks, record.boot))
    return procs.find_marked(f"{RUN_ID}={record.run_id}") is not None


def _record(layout: Layout) -> ProcessRecord | None:
    try:
        return ProcessRecord.from_json(json.loads(layout.process.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _close(layout: Layout, operation: str, intent: dict[str, Any], outcome: str) -> None:
    entry = {key: value for key, value in intent.items() if key not in NOT_TOLD}
    ended = datetime.now().astimezone().isoformat(timespec="seconds")
    exit_code = Exit.DONE if outcome.startswith("done") else Exit.RESTORED
    history.append(layout, {**entry, "outcome": outcome, "exit_code": int(exit_code), "ended": ended})
    transaction.Transaction(layout, operation).close()
