"""`history` and `show`: which operations there were."""

from __future__ import annotations

from atftctl.domain.result import Result
from atftctl.domain.text import counted
from atftctl.host.files.logs import tail
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.state import history as records


def history(project: Project, most: int) -> Result:
    entries = records.read(project.layout)
    return Result("history", Exit.DONE, counted(len(entries), "operation"), data={"operations": entries[-most:]})


def show(project: Project, word: str) -> Result:
    """All that is known of one operation: plan, diff, evidence, timeline, verdict, who, why."""
    layout = project.layout
    entry = records.find_any(records.read(layout), word)
    folder = layout.operations / str(entry["operation"])
    evidence = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    plan = records.evidence(folder / "plan.json")
    data = {
        **entry,
        "steps": plan.get("steps", []),
        "diff": tail(folder, "change.diff", 500),
        "evidence": {"folder": str(folder.relative_to(layout.root)), "files": evidence},
    }
    return Result("show", Exit.DONE, f"{entry['command']} {entry['operation']}: {entry['title']}", data=data)


def check_history(project: Project) -> Result:
    """Is each line the one that was written?"""
    problems = records.tampered(project.layout)
    count = len(records.read(project.layout))
    whole = f"the history is whole: {counted(count, 'operation')}"
    return Result(
        "history",
        Exit.CHECK_FAILED if problems else Exit.DONE,
        f"{counted(len(problems), 'problem')} in the history" if problems else whole,
        lines=tuple(problems),
        data={"problems": problems, "operations": count},
        contacts=project.contacts if problems else (),
    )
