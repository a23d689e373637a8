"""Plans that restore files as they were: from a snapshot, from a commit, and `undo`."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from atftctl.decide.plans.added_settings import Added, about_added, add_to_targets
from atftctl.decide.plans.builder import RestartPolicy, assemble
from atftctl.decide.plans.by_commits import NewFile, new_targets
from atftctl.decide.plans.whole_units import Present, further_targets
from atftctl.domain.code_steps import ChangePackages, MoveBranch, Package
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile, Facts
from atftctl.domain.plan import Plan, with_steps
from atftctl.domain.runbook import Kind, Runbook
from atftctl.domain.snapshot import Snapshot, SnapshotFile
from atftctl.domain.steps import MANY, Step, Target
from atftctl.domain.text import listed
from atftctl.domain.units import Unit, about_units, holds
from atftctl.protocol.messages import tr


def chosen_files(runbook: Runbook, snapshot: Snapshot, paths: tuple[str, ...], only: Kind) -> list[SnapshotFile]:
    """Choose files of a snapshot by path or folder, and by kind. Raises Refused for a path that it does not hold."""
    for path in paths:
        if not any(_below(file.path, path) for file in snapshot.files):
            names = [file.path for file in snapshot.files]
            raise Refused(
                tr("{path} is not in snapshot {snapshot}", path=path, snapshot=snapshot.id),
                hint=tr("the snapshot holds: {paths}", paths=listed(names, MANY)),
            )
    models = models_of(runbook, snapshot)
    chosen = [
        file
        for file in snapshot.files
        if (not paths or any(_below(file.path, path) for path in paths))
        and (not only or (file.path in models) is (only == "models"))
        and (not only or file.path in models or file.path in runbook.files.of(only))
    ]
    if not chosen:
        raise Refused(
            tr("snapshot {snapshot} holds none of the files asked for ({kind})", snapshot=snapshot.id, kind=only)
            if only
            else tr("snapshot {snapshot} holds no files", snapshot=snapshot.id)
        )
    return chosen


def models_of(runbook: Runbook, snapshot: Snapshot) -> frozenset[str]:
    """Return the paths of models in a snapshot: those that the runbook names, and the files that they link to."""
    named = [file.path for file in snapshot.files if holds(runbook.files.models, file.path)]
    models, waiting = set[str](), [*runbook.files.models, *named]
    while waiting:
        path = waiting.pop()
        if path in models:
            continue
        models.add(path)
        parts = path.split("/")
        for place in ("/".join(parts[:end]) for end in range(1, len(parts) + 1)):
            file = snapshot.file(place)
            if file and file.is_link:
                models.add(place)
                target = posixpath.join(posixpath.dirname(place), file.sha256.removeprefix("link:"))
                waiting.append(posixpath.normpath(posixpath.join(target, posixpath.relpath(path, place))))
    return frozenset(models)


def _below(path: str, place: str) -> bool:
    """Is `path` this file, or a file in this folder?"""
    place = place.removeprefix("./").rstrip("/")
    return place in ("", ".") or path == place or path.startswith(f"{place}/")


def restore(
    runbook: Runbook,
    facts: Facts,
    snapshot: Snapshot,
    chosen: Sequence[SnapshotFile],
    policy: RestartPolicy,
    notes: tuple[str, ...] = (),
    command: str = "restore",
    added: Added | None = None,
    restored: Mapping[str, ConfigFile] | None = None,
    units: Sequence[Unit] = (),
    present: Present | None = None,
) -> Plan:
    """Return the plan that restores these files of a snapshot, except for those whose content is the same already.

    `added`: settings to change in them; `restored`: the configs as they are after the restore. `units`: the places that
    hold nothing else afterwards; `present`: what is in them now.

    With the command "rollback" a trainer that died is started again. Raises Refused where nothing is left to restore.
    """
    known = models_of(runbook, snapshot)
    further = tuple(further_targets(units, present or {}))
    changed = {file.path for file in chosen if facts.digests[file.path] != file.sha256}
    if facts.process.may_save and (changed or further):  # it saves once more into its folder before it is stopped
        changed |= {file.path for file in chosen if any(file.path in unit.files for unit in units)}
    wanted = tuple(
        replace(_from_snapshot(known, facts, file.path, snapshot.id, file.sha256, file.mode), copy=snapshot.where(file))
        for file in chosen
        if file.path in changed
    )
    models = [target.path for target in (*wanted, *further) if target.volatile]
    if models and facts.process.may_save and not policy.restart:
        raise Refused(
            tr("the running trainer would overwrite {path}", path=models[0]),
            hint=facts.process.how_to_stop,
        )
    with_added = add_to_targets(runbook, facts.configs, restored or facts.configs, wanted, added or {})
    plan = assemble(
        command=command,
        title=_title(snapshot),
        runbook=runbook,
        facts=facts,
        targets=(*with_added.targets, *further),
        resume="last",
        policy=policy,
        notes=(*notes, *_doubts(snapshot, chosen), *with_added.notes),
        about={"snapshot": snapshot.id, **about_added(added or {}), **about_units(units)},
        units=tuple(units),
    )
    if plan.empty:
        raise Refused(tr("nothing to restore: all files are already as in snapshot {snapshot}", snapshot=snapshot.id))
    return plan


def _doubts(snapshot: Snapshot, chosen: Sequence[SnapshotFile]) -> Iterator[str]:
    """Say what speaks against restoring these files."""
    if not snapshot.verified and snapshot.folder:
        yield tr("snapshot {snapshot} has not been verified", snapshot=snapshot.id)
    for file in chosen:
        if file.damaged:
            yield tr("{path} was damaged already when it was copied: {damage}", path=file.path, damage=file.zip)


def model_targets(runbook: Runbook, snapshot: Snapshot, present: Mapping[str, str | None]) -> tuple[Target, ...]:
    """Return the files that put the models of a snapshot back. `present`: digests of the present ones by path; those
    that are the same already are left as they are."""
    models = models_of(runbook, snapshot)
    return tuple(
        Target(
            path=file.path,
            old=None,
            snapshot=snapshot.id,
            copy=snapshot.where(file),
            new=file.sha256,
            mode=file.mode,
            volatile=True,
        )
        for file in snapshot.files
        if file.path in models and present.get(file.path) != file.sha256
    )


def _title(snapshot: Snapshot) -> str:
    if snapshot.label:
        return tr("snapshot {snapshot} ({label})", snapshot=snapshot.id, label=snapshot.label)
    return tr("snapshot {snapshot}", snapshot=snapshot.id)


def _from_snapshot(models: Collection[str], facts: Facts, path: str, snapshot: str, new: str, mode: int) -> Target:
    """Return the target of one file. A model's old digest is only known after the stop: the trainer saves when it
    ends."""
    volatile = path in models
    old = None if volatile else facts.digests[path]
    return Target(path=path, old=old, snapshot=snapshot, new=new, mode=mode, volatile=volatile)


def from_commit(
    runbook: Runbook, facts: Facts, files: Sequence[NewFile], commit: str, title: str, policy: RestartPolicy
) -> Plan:
    """Return the plan that restores files as they are in a commit; the branch does not move. Raises Refused."""
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
        raise Refused(tr("nothing to restore: all files are already as in commit {commit}", commit=commit[:12]))
    return plan


def undo(
    runbook: Runbook,
    facts: Facts,
    entry: Mapping[str, Any],
    policy: RestartPolicy,
    back: CodeMove | None = None,
    *,
    expired: bool = False,
    units: Sequence[Unit] = (),
    present: Present | None = None,
) -> Plan:
    """Return the plan that restores the files of one operation as they were before it.

    `entry`: its history line. `back`: the commit on top of the branch that restores the code, where the operation moved
    the branch. `expired`: it was not confirmed in time; then a trainer that would overwrite a restored model is
    restarted in any case. `units`, `present`: as for `restore`. Raises Refused where somebody has changed a file since,
    or nothing is left to undo.
    """
    operation = str(entry["operation"])
    targets, packages = _before(runbook, facts, entry), _packages(entry)
    known = {target.path for target in targets}
    targets += tuple(target for target in further_targets(units, present or {}) if target.path not in known)
    if not targets and not packages:
        raise Refused(
            tr("{operation} was undone already: the files are as they were before the operation", operation=operation)
        )
    policy = _stopping(facts, targets, policy, expired=expired)
    of_undo = tr("this undoes an undo; to go further back: atftctl history, then atftctl undo ID")
    plan = assemble(
        command="undo",
        title=tr(
            "{command} {operation} ({title})", command=entry["command"], operation=operation, title=entry["title"]
        ),
        notes=(of_undo,) if entry["command"] == "undo" else (),
        runbook=runbook,
        facts=facts,
        targets=targets,
        resume="last",
        policy=policy,
        undo_of=operation,
        about={"undo_of": operation, **about_units(units)},
        units=tuple(units),
    )
    return with_steps(plan, after=(*((MoveBranch(back),) if back and targets else ()), *packages))


def _stopping(facts: Facts, targets: Sequence[Target], policy: RestartPolicy, *, expired: bool) -> RestartPolicy:
    """What may happen to the trainer. Raises Refused where it would go on and overwrite what is restored."""
    models = [target.path for target in targets if target.volatile]
    if not models or policy.restart or not facts.process.may_save:
        return policy
    if expired:
        return replace(policy, restart=True)
    raise Refused(
        tr("the running trainer would overwrite {path}", path=models[0]),
        hint=facts.process.how_to_stop,
    )


def _before(runbook: Runbook, facts: Facts, entry: Mapping[str, Any]) -> tuple[Target, ...]:
    """Return a target for each file of an operation that is not as it was before. Raises Refused for one that was
    changed since."""
    snapshot = str(entry.get("snapshot", ""))
    taken = next((known for known in facts.snapshots if known.id == snapshot), None)
    models = models_of(runbook, taken) if taken else frozenset(runbook.files.models)
    named = runbook.files.models
    targets = []
    for file in entry["files"]:
        path, old, new = str(file["path"]), file["old"], file["new"]
        digest = facts.digests[path]
        if digest == old and file.get("new_mode", file["mode"]) == file["mode"]:
            continue
        volatile = path in models or holds(named, path) or runbook.checkpoints.hold(path)
        if digest != new and not volatile:  # a trainer writes models; the safety snapshot keeps them
            raise Refused(
                tr(
                    "{path} was changed after {operation}; undo would lose that change",
                    path=path,
                    operation=entry["operation"],
                ),
                hint=tr(
                    "to restore the files anyway and lose the change: atftctl restore {snapshot}", snapshot=snapshot
                ),
            )
        if old is None:
            targets.append(Target(path=path, old=None if volatile else digest, volatile=volatile))
        else:
            targets.append(_from_snapshot([path] if volatile else (), facts, path, snapshot, old, int(file["mode"])))
    return tuple(targets)


def _packages(entry: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the step that reverses the operation's change of packages, if it changed any."""
    record = entry.get("packages")
    if not record:
        return ()
    return (ChangePackages(tuple(Package(**package) for package in record["packages"]), away=not record["away"]),)
