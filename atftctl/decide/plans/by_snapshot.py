"""The routes by snapshot: files come back as they were. Pure functions from facts to a plan or a refusal."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from atftctl.decide.plans.builder import RestartPolicy, assemble
from atftctl.decide.plans.by_commits import NewFile, new_targets
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan, with_steps
from atftctl.domain.runbook import Kind, Runbook
from atftctl.domain.snapshot import Snapshot, SnapshotFile
from atftctl.domain.steps import MANY, ChangePackages, MoveBranch, Package, Step, Target
from atftctl.domain.text import listed


def chosen_files(runbook: Runbook, snapshot: Snapshot, paths: tuple[str, ...], only: Kind) -> list[SnapshotFile]:
    """The files of a snapshot that are asked for: by path, a folder's too, and by kind. Raises Refused for a path that
    it does not hold."""
    for path in paths:
        if not any(_below(file.path, path) for file in snapshot.files):
            names = [file.path for file in snapshot.files]
            raise Refused(f"{path} is not in snapshot {snapshot.id}", hint=f"it holds: {listed(names, MANY)}")
    chosen = [
        file
        for file in snapshot.files
        if (not paths or any(_below(file.path, path) for path in paths))
        and (not only or (file.path in models_of(runbook, snapshot)) is (only == "models"))
        and (not only or file.path in (*models_of(runbook, snapshot), *runbook.files.of(only)))
    ]
    if not chosen:
        raise Refused(f"snapshot {snapshot.id} holds no {only or 'files'} of these")
    return chosen


def models_of(runbook: Runbook, snapshot: Snapshot) -> frozenset[str]:
    """The paths of models in a snapshot: those that the runbook names, and what they are symlinks to."""
    found, waiting = set[str](), list(runbook.files.models)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        parts = path.split("/")
        for place in ("/".join(parts[:end]) for end in range(1, len(parts) + 1)):
            file = snapshot.file(place)
            if file and file.is_link:
                found.add(place)
                target = posixpath.join(posixpath.dirname(place), file.sha256.removeprefix("link:"))
                waiting.append(posixpath.normpath(posixpath.join(target, posixpath.relpath(path, place))))
    return frozenset(found)


def _below(path: str, asked: str) -> bool:
    asked = asked.removeprefix("./").rstrip("/")
    return asked in ("", ".") or path == asked or path.startswith(f"{asked}/")


def restore(
    runbook: Runbook,
    facts: Facts,
    snapshot: Snapshot,
    chosen: Sequence[SnapshotFile],
    policy: RestartPolicy,
    notes: tuple[str, ...] = (),
    command: str = "restore",
) -> Plan:
    """These files of a snapshot come back; those that are equal by hash are not touched. As `rollback`: the snapshot as
    a unit, and a trainer that died is started from it."""
    known = models_of(runbook, snapshot)
    wanted = tuple(
        replace(_from_snapshot(known, facts, file.path, snapshot.id, file.sha256, file.mode), copy=snapshot.where(file))
        for file in chosen
        if facts.digests[file.path] != file.sha256
    )
    models = [target.path for target in wanted if target.path in known]
    if models and facts.process.alive and not policy.restart:
        raise Refused(f"the trainer runs and would write over {models[0]}", hint="stop it first: atftctl trainer stop")
    if not snapshot.verified and snapshot.folder:
        notes = (*notes, f"snapshot {snapshot.id} has not been verified")
    notes += tuple(f"{file.path} was damaged already when it was copied: {file.zip}" for file in chosen if file.damaged)
    plan = assemble(
        command=command,
        title=f"snapshot {snapshot.id}{' (' + snapshot.label + ')' if snapshot.label else ''}",
        runbook=runbook,
        facts=facts,
        targets=wanted,
        resume="last",
        policy=policy,
        notes=notes,
        about={"snapshot": snapshot.id},
    )
    if plan.empty:
        raise Refused(f"snapshot {snapshot.id} is what stands already; nothing to restore", state="")
    return plan


def _from_snapshot(models: Collection[str], facts: Facts, path: str, snapshot: str, new: str, mode: int) -> Target:
    """A model's state is taken after the trainer's stop: it saves when it leaves."""
    volatile = path in models
    old = None if volatile else facts.digests[path]
    return Target(path=path, old=old, snapshot=snapshot, new=new, mode=mode, volatile=volatile)


def from_commit(
    runbook: Runbook, facts: Facts, files: Sequence[NewFile], commit: str, title: str, policy: RestartPolicy
) -> Plan:
    """Files come back as a commit has them; the branch stays where it is. Raises Refused where they are so already."""
    plan = assemble(
        command="restore",
        title=title,
        runbook=runbook,
        facts=facts,
        targets=new_targets(facts, files, commit),
        resume="last",
        policy=policy,
        about={"commit": commit[:12]},
    )
    if plan.empty:
        raise Refused(f"the files are already as commit {commit[:12]} has them")
    return plan


def undo(
    runbook: Runbook, facts: Facts, entry: Mapping[str, Any], policy: RestartPolicy, back: CodeMove | None = None
) -> Plan:
    """The files of one operation as they were before it. Refused where somebody changed them since. `back`: the commit
    on top of the branch that holds what was before, where the operation moved the branch."""
    operation, snapshot = str(entry["operation"]), str(entry.get("snapshot", ""))
    taken = next((one for one in facts.snapshots if one.id == snapshot), None)
    models = models_of(runbook, taken) if taken else frozenset(runbook.files.models)
    wanted = []
    for file in entry["files"]:
        path, old, new = str(file["path"]), file["old"], file["new"]
        stands = facts.digests[path]
        if stands == old and file.get("new_mode", file["mode"]) == file["mode"]:
            continue
        if stands != new and path not in models:  # a trainer writes models; the safety snapshot keeps them
            raise Refused(
                f"{path} was changed after {operation}; undoing would lose that change",
                hint=f"if that is what you want: atftctl restore {snapshot}",
            )
        if old is None:
            wanted.append(Target(path=path, old=stands))
        else:
            wanted.append(_from_snapshot(models, facts, path, snapshot, old, int(file["mode"])))
    packages = _packages(entry)
    if not wanted and not packages:
        raise Refused(f"{operation} is undone already: its files are as they were before it")
    plan = assemble(
        command="undo",
        title=f"{entry['command']} {operation} ({entry['title']})",
        notes=("this undoes an undo; to go further back: atftctl history, atftctl undo ID",)
        if entry["command"] == "undo"
        else (),
        runbook=runbook,
        facts=facts,
        targets=tuple(wanted),
        resume="last",
        policy=policy,
        undo_of=operation,
        about={"undo_of": operation},
    )
    return with_steps(plan, after=(*((MoveBranch(back),) if back and wanted else ()), *packages))


def _packages(entry: Mapping[str, Any]) -> tuple[Step, ...]:
    """The other way round."""
    record = entry.get("packages")
    if not record:
        return ()
    return (ChangePackages(tuple(Package(**one) for one in record["packages"]), away=not record["away"]),)
