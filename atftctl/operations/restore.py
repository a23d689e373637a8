"""`restore`: restore files from a snapshot, a copy made by cp, or a commit. It works with a broken runbook, too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atftctl.decide.plans import by_snapshot
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.by_commits import NewFile
from atftctl.decide.plans.whole_units import units_of
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Data, Result
from atftctl.domain.runbook import Kind
from atftctl.domain.snapshot import Snapshot, SnapshotFile
from atftctl.domain.snapshot_steps import ExportFiles
from atftctl.domain.text import listed, size_text
from atftctl.host.errors import reason
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.git import command as git_command
from atftctl.observe.snapshots import catalog, cp_copies
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Action, Change
from atftctl.operations.change.perform import perform
from atftctl.operations.change.snapshot_inputs import present_in
from atftctl.operations.project import Project
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr, trn

GIT = "git:"  # the prefix of a commit that is given in place of a snapshot
OTHERS = tr("list the other snapshots: atftctl backup list")


@dataclass(frozen=True)
class ExportData(Data):
    """Files that were written to a new folder. folder: its path. files: paths within it."""

    folder: str
    files: tuple[str, ...]


def restore(
    project: Project, source: str, paths: tuple[str, ...], policy: RestartPolicy, request: Request, *, only: Kind = ""
) -> Result:
    """Restore files of the project.

    `source`: a snapshot, the path of a copy made by cp, or `git:REF`. `paths`: only these files or folders. `only`:
    only files of this kind. Raises Refused where the source does not hold them, and as `carry_out`.
    """
    if source.startswith(GIT):
        ref = source.removeprefix(GIT) or "HEAD"
        return _from_git(project, ref, _relative(project, paths), policy, request, only)
    snapshot, notes = _find(project, source)
    chosen = by_snapshot.chosen_files(project.runbook, snapshot, _relative(project, paths), only)
    units = units_of(project.runbook, snapshot, [file.path for file in chosen], everything=not paths)

    def decide(facts: Facts) -> Plan:
        present = present_in(project, units)
        return by_snapshot.restore(
            project.runbook, facts, snapshot, chosen, policy, notes, units=units, present=present
        )

    return carry_out(project, Change(decide, digests_of=tuple(file.path for file in chosen)), request)


def _from_git(
    project: Project, ref: str, paths: tuple[str, ...], policy: RestartPolicy, request: Request, only: Kind
) -> Result:
    """Restore files as they are in a commit; without paths, those that the runbook names. The present files may be
    missing or broken."""
    names = paths or project.runbook.files.of(only or "configs")
    commit, contents = _contents_at(project, ref, names, filters=request.may_run_filters)
    files = [NewFile(name, sha256_bytes(data)) for name, data in contents.items()]
    title = tr("{paths} from commit {commit}", paths=listed(sorted(contents), 3), commit=commit[:12])
    change = Change(
        lambda facts: by_snapshot.from_commit(project.runbook, facts, files, commit, title, policy),
        digests_of=tuple(contents),
        contents=contents,
    )
    return carry_out(project, change, request)


def _contents_at(project: Project, ref: str, names: tuple[str, ...], *, filters: bool) -> tuple[str, dict[str, bytes]]:
    """Return the commit and the content of each file in it. Raises Refused for an unknown commit, and for a file that
    it does not hold."""
    from atftctl.host.git import facts as git
    from atftctl.host.git import worktree

    root = project.layout.root
    try:
        commit = git.commit_of(root, ref)
        tracked = [name for name in names if git.file_at(root, commit, name)]
        contents = {name: worktree.file_as_checked_out(root, commit, name, filters=filters) for name in tracked}
    except git_command.GitError as error:
        raise Refused(reason(error), hint=tr("list the commits: git log --oneline")) from None
    if missing := [name for name in names if name not in tracked]:
        raise Refused(
            tr("{path} is not in {ref} ({commit})", path=missing[0], ref=ref, commit=commit[:12]),
            hint=tr("list the files of the commit: git ls-tree -r --name-only {commit}", commit=commit[:12]),
        )
    if not names:
        raise Refused(
            tr("the runbook names no configs, or can't be read; name the files to restore"),
            hint=tr("atftctl restore git:{ref} PATH", ref=ref),
        )
    return commit, contents


def export(
    project: Project, source: str, paths: tuple[str, ...], folder: Path, request: Request, *, only: Kind = ""
) -> Result:
    """Write files of a snapshot to a new folder; the project is not changed. The folder is complete or does not exist.
    Raises UsageError for a commit, Refused, InterventionNeeded."""
    from atftctl.apply.snapshots.export import export as export_files

    if source.startswith(GIT):
        raise UsageError(tr("--to exports files of a snapshot, not of a commit"), hint="git show COMMIT:./PATH > FILE")
    snapshot, notes = _find(project, source)
    chosen = by_snapshot.chosen_files(project.runbook, snapshot, _relative(project, paths), only)
    chosen_paths = tuple(file.path for file in chosen)
    size = sum(file.size for file in chosen)

    def decide() -> Plan:
        step = ExportFiles(snapshot.id, chosen_paths, size, str(folder))
        return Plan("restore", step.describe(), (step,), notes=notes)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        with watch.part("copy"):
            request.report.expect(size)
            export_files(project.layout, snapshot, chosen, folder, request.report.progress)
        return Result(
            "restore",
            Exit.DONE,
            _exported(snapshot, chosen, size, folder),
            lines=plan.notes,
            data=ExportData(str(folder), chosen_paths),
            parts=tuple(watch.parts),
        )

    return perform(project, Action("restore", decide, act), request, lock=False)


def _exported(snapshot: Snapshot, chosen: Sequence[SnapshotFile], size: int, folder: Path) -> str:
    return trn(
        "exported {count} file of {snapshot} ({size}) to {folder}; its hash is the recorded one",
        "exported {count} files of {snapshot} ({size}) to {folder}; each hash is the recorded one",
        len(chosen),
        snapshot=snapshot.id,
        size=size_text(size),
        folder=folder,
    )


def _find(project: Project, source: str) -> tuple[Snapshot, tuple[str, ...]]:
    """Return a snapshot, or a copy made by cp as one, and notes on what is not known of it. Raises Refused."""
    layout = project.layout
    copies = {copy.path: copy for copy in cp_copies.find_cp_copies(layout, project.runbook.files)}
    copy = copies.get(_relative(project, (source,))[0]) if source else None
    if copy is None:
        return catalog.find(layout, catalog.list_snapshots(layout), source), ()
    snapshot, damage = cp_copies.as_snapshot(layout, copy)
    if damage:
        raise Refused(tr("{path} is damaged: {reason}", path=copy.path, reason=damage), hint=OTHERS)
    notes = [tr("this copy was made by cp: no hash was recorded, so it can only be checked that it is readable")]
    if not copy.stamp:
        notes.insert(
            0,
            tr(
                "the name of {path} holds no date: its age is unknown (last written {time})",
                path=copy.path,
                time=copy.modified,
            ),
        )
    return snapshot, tuple(notes)


def _relative(project: Project, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return paths relative to the project; they may be typed in any folder of it."""
    root, relative = project.layout.root, []
    for path in paths:
        full = Path(os.path.normpath(Path.cwd() / path))
        is_relative = not path.startswith(("/", ".")) and os.path.lexists(root / path)
        relative.append(path if is_relative or not full.is_relative_to(root) else str(full.relative_to(root)))
    return tuple(relative)
