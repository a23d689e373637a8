"""`restore` and `undo`: files come back from a snapshot. Both work with a broken runbook."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.decide import restoring
from atftctl.decide.assemble import Wish
from atftctl.domain.code import CodeMove
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.result import Result
from atftctl.domain.runbook import Kind
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.words import size_words
from atftctl.observe import handmade, history, snapshots
from atftctl.operations.change import carry_out, locked
from atftctl.operations.project import Project, observe, open_operation
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit


def restore(
    project: Project, word: str, paths: tuple[str, ...], wish: Wish, request: Request, *, only: Kind = ""
) -> Result:
    snapshot, notes = _find(project, word)
    chosen = restoring.chosen_files(project.runbook, snapshot, _relative(project, paths), only)
    return carry_out(
        project,
        lambda: observe(project, [file.path for file in chosen]),
        lambda facts: restoring.restore(project.runbook, facts, snapshot, chosen, wish, notes),
        request,
    )


def export(
    project: Project, word: str, paths: tuple[str, ...], folder: Path, request: Request, *, only: Kind = ""
) -> Result:
    """Files of a snapshot into a new folder; the project is not touched. The folder is there whole or not at all."""
    from atftctl.apply.export import export as apply

    snapshot, notes = _find(project, word)
    chosen = restoring.chosen_files(project.runbook, snapshot, _relative(project, paths), only)
    size = size_words(sum(file.size for file in chosen))
    if request.dry_run:
        headline = f"dry run: would write {len(chosen)} files, {size}, into {folder}"
        return Result("restore", Exit.DONE, headline, lines=notes, data={"files": [file.path for file in chosen]})
    watch = Stopwatch(request.report)
    with watch.part("copy"):
        request.report.expect(sum(file.size for file in chosen))
        apply(project.layout, snapshot, chosen, folder, request.report.progress)
    return Result(
        "restore",
        Exit.DONE,
        f"{len(chosen)} files of {snapshot.id}, {size}, are in {folder}, each with its recorded hash",
        lines=notes,
        data={"folder": str(folder), "files": [file.path for file in chosen]},
        parts=tuple(watch.parts),
    )


def _find(project: Project, word: str) -> tuple[Snapshot, tuple[str, ...]]:
    """A snapshot, or a copy that the guide's `cp` made, by its path; and what is to be said of it first."""
    layout = project.layout
    made = {one.path: one for one in handmade.find_handmade(layout, project.runbook.files)}
    one = made.get(_relative(project, (word,))[0]) if word else None
    if one is None:
        return snapshots.find(layout, snapshots.list_snapshots(layout), word), ()
    snapshot, wrong = handmade.as_snapshot(layout, one)
    if wrong:
        raise Refused(f"{one.path} is damaged: {wrong}", then="atftctl backup list shows the others")
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


def undo(project: Project, word: str, wish: Wish, request: Request) -> Result:
    if not request.dry_run and open_operation(project.layout):
        with locked(project, "undo", request):
            pass  # what a crash left open comes first, and has a line in the history then
    entry = history.find(history.read(project.layout), word)
    paths = [str(file["path"]) for file in entry["files"]]
    back = None
    if entry.get("git"):
        from atftctl.operations import branch  # git is nothing that other undos have time for

        back = branch.back(project, entry, request)

    def look() -> Facts:
        if back:
            branch.stands_still(project, CodeMove.from_json(entry["git"]), str(entry["operation"]))
        return observe(project, paths)

    return carry_out(project, look, lambda facts: restoring.undo(project.runbook, facts, entry, wish, back), request)
