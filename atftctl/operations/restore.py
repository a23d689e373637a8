"""`restore` and `undo`: files come back from a snapshot. Both work with a broken runbook."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.decide.plans import by_snapshot
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.by_commits import NewFile
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.runbook import Kind
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.snapshot_steps import ExportFiles
from atftctl.domain.text import listed, size_text
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.git import command as git_command
from atftctl.observe.snapshots import catalog, cp_copies
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Action, Change
from atftctl.operations.change.perform import perform
from atftctl.operations.project import Project
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import trn

GIT = "git:"  # what stands before a commit, in place of a snapshot


def restore(
    project: Project, word: str, paths: tuple[str, ...], wish: RestartPolicy, request: Request, *, only: Kind = ""
) -> Result:
    if word.startswith(GIT):
        return _from_git(project, word.removeprefix(GIT) or "HEAD", _relative(project, paths), wish, request, only)
    snapshot, notes = _find(project, word)
    chosen = by_snapshot.chosen_files(project.runbook, snapshot, _relative(project, paths), only)
    change = Change(
        lambda facts: by_snapshot.restore(project.runbook, facts, snapshot, chosen, wish, notes),
        digests_of=tuple(file.path for file in chosen),
    )
    return carry_out(project, change, request)


def _from_git(
    project: Project, ref: str, paths: tuple[str, ...], wish: RestartPolicy, request: Request, only: Kind
) -> Result:
    """Files as a commit has them: the configs that the runbook names, or these. Needs nothing of what stands."""
    from atftctl.host.git import facts as git
    from atftctl.host.git import worktree

    root, kind = project.layout.root, only or "configs"
    names = paths or project.runbook.files.of(kind)
    try:
        commit = git.commit_of(root, ref)
        tracked = [name for name in names if git.file_at(root, commit, name)]
        contents = {
            name: worktree.file_as_checked_out(root, commit, name, filters=request.may_run_filters) for name in tracked
        }
    except git_command.GitError as error:
        raise Refused(str(error), hint="git log --oneline shows the commits") from None
    if missing := [name for name in names if name not in tracked]:
        raise Refused(f"{missing[0]} is not in {ref} ({commit[:12]})", hint=f"git ls-tree -r --name-only {commit[:12]}")
    if not names:
        raise Refused("the runbook names no configs, or can't be read", hint=f"atftctl restore git:{ref} PATH")
    files = [NewFile(name, sha256_bytes(data)) for name, data in contents.items()]
    title = f"{listed(sorted(contents), 3)} from commit {commit[:12]}"
    change = Change(
        lambda facts: by_snapshot.from_commit(project.runbook, facts, files, commit, title, wish),
        digests_of=tuple(contents),
        contents=contents,
    )
    return carry_out(project, change, request)


def export(
    project: Project, word: str, paths: tuple[str, ...], folder: Path, request: Request, *, only: Kind = ""
) -> Result:
    """Files of a snapshot into a new folder; the project is not touched. The folder is there whole or not at all."""
    from atftctl.apply.snapshots.export import export as export_files

    if word.startswith(GIT):
        raise UsageError("--to takes files of a snapshot, not of a commit", hint="git show COMMIT:./PATH > FILE")
    snapshot, notes = _find(project, word)
    chosen = by_snapshot.chosen_files(project.runbook, snapshot, _relative(project, paths), only)
    paths_of_files = tuple(file.path for file in chosen)
    size = sum(file.size for file in chosen)

    def decide() -> Plan:
        step = ExportFiles(snapshot.id, paths_of_files, size, str(folder))
        return Plan("restore", step.describe(), (step,), notes=notes)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        with watch.part("copy"):
            request.report.expect(size)
            export_files(project.layout, snapshot, chosen, folder, request.report.progress)
        headline = trn(
            "exported {count} file of {snapshot} ({size}) to {folder}; its hash is the recorded one",
            "exported {count} files of {snapshot} ({size}) to {folder}; each hash is the recorded one",
            len(chosen),
            snapshot=snapshot.id,
            size=size_text(size),
            folder=folder,
        )
        data = {"folder": str(folder), "files": list(paths_of_files)}
        return Result("restore", Exit.DONE, headline, lines=plan.notes, data=data, parts=tuple(watch.parts))

    return perform(project, Action("restore", decide, act), request, lock=False)


def _find(project: Project, word: str) -> tuple[Snapshot, tuple[str, ...]]:
    """A snapshot, or a copy that the guide's `cp` made, by its path; and what is to be said of it first."""
    layout = project.layout
    made = {one.path: one for one in cp_copies.find_cp_copies(layout, project.runbook.files)}
    one = made.get(_relative(project, (word,))[0]) if word else None
    if one is None:
        return catalog.find(layout, catalog.list_snapshots(layout), word), ()
    snapshot, wrong = cp_copies.as_snapshot(layout, one)
    if wrong:
        raise Refused(f"{one.path} is damaged: {wrong}", hint="atftctl backup list shows the others")
    notes = ["made by cp: nobody recorded its hash; it can be read, more is not known"]
    if not one.stamp:
        notes.insert(0, f"{one.path} bears no date: its age is not known (last written {one.modified})")
    return snapshot, tuple(notes)


def _relative(project: Project, paths: tuple[str, ...]) -> tuple[str, ...]:
    """As typed in the project's folder or in one below it."""
    root, found = project.layout.root, []
    for path in paths:
        full = Path(os.path.normpath(Path.cwd() / path))
        as_is = not path.startswith(("/", ".")) and os.path.lexists(root / path)
        found.append(path if as_is or not full.is_relative_to(root) else str(full.relative_to(root)))
    return tuple(found)
