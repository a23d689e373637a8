"""`history` and `show`: past operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.host.files.logs import tail
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr, trn
from atftctl.state import history as records

HistoryLine = Mapping[str, Any]  # one operation, as `state.history` has it


@record
class HistoryData(Data):
    """Data of `history`.

    operations: the newest lines of the history, oldest first. Each has `operation`, `command`, `title`, `reason`,
    `operator`, `started`, `ended`, `outcome`, `exit_code`, `files`, and more by command; `generation` where it
    started a trainer.
    """

    operations: tuple[Mapping[str, Any], ...]


@record
class HistoryCheckData(Data):
    """Data of `history --check`.

    problems: lines that were edited, added or removed. operations: number of operations.
    """

    problems: tuple[str, ...]
    operations: int


@record
class Evidence(Data):
    """The files that an operation left for later examination.

    folder: their folder, relative to the project. files: their names.
    """

    folder: str
    files: tuple[str, ...]


@record
class ShowData(Data):
    """Data of `show`.

    entry: the operation's line in the history; in JSON its fields are beside the others. steps: the plan's steps. diff:
    unified diff of the configs, at most 500 lines. evidence: where more can be read.
    """

    entry: Mapping[str, Any]
    steps: tuple[str, ...]
    diff: tuple[str, ...]
    evidence: Evidence

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(key) if key in ("steps", "diff", "evidence") else self.entry[key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.entry, "steps", "diff", "evidence")))


def history(project: Project, limit: int) -> Result:
    """List the newest `limit` operations, oldest first."""
    entries = records.read(project.layout)
    headline = trn("{count} operation", "{count} operations", len(entries))
    return Result("history", Exit.DONE, headline, data=HistoryData(tuple(entries[-limit:])))


def show(project: Project, word: str) -> Result:
    """Show all that is known of one operation: plan, diff, evidence, parts, verdict, operator, reason.

    Raises Refused where there is no operation yet, UsageError where `word` names none.
    """
    layout = project.layout
    entry = records.find_any(records.read(layout), word)
    folder = layout.operations / str(entry["operation"])
    files = tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ()
    plan = records.evidence(folder / "plan.json")
    data = ShowData(
        entry=entry,
        steps=tuple(plan.get("steps", ())),
        diff=tuple(tail(folder, "change.diff", 500)),
        evidence=Evidence(str(folder.relative_to(layout.root)), files),
    )
    headline = tr(
        "{command} {operation}: {title}", command=entry["command"], operation=entry["operation"], title=entry["title"]
    )
    return Result("show", Exit.DONE, headline, data=data)


def check_history(project: Project) -> Result:
    """Check that no line of the history was edited, added or removed."""
    problems = tuple(records.tampered(project.layout))
    count = len(records.read(project.layout))
    headline = tr(
        "the history is intact: {operations}", operations=trn("{count} operation", "{count} operations", count)
    )
    if problems:
        headline = trn("{count} problem in the history", "{count} problems in the history", len(problems))
    return Result(
        "history",
        Exit.CHECK_FAILED if problems else Exit.DONE,
        headline,
        lines=problems,
        data=HistoryCheckData(problems, count),
        contacts=project.contacts if problems else (),
    )
