"""`status`, `history`, `recover`, `runbook show|lint`: where things stand, and cleaning up after a crash."""

from __future__ import annotations

from typing import Any

from atftctl.decide.plans.setting_changes import state
from atftctl.domain.errors import Refused
from atftctl.domain.result import Result
from atftctl.domain.text import counted
from atftctl.host import locks
from atftctl.host.files.logs import tail
from atftctl.observe import history as observed_history
from atftctl.observe.snapshots.catalog import last_good, newest
from atftctl.observe.trainer_run import watch as observed_staged
from atftctl.operations.change.carry_out import held_by, locked
from atftctl.operations.project import Project, observe
from atftctl.operations.report.health import faults, runbook_faults
from atftctl.operations.request import Request
from atftctl.operations.trainer_process import lifecycle
from atftctl.protocol import Exit


def status(project: Project) -> Result:
    """Changes nothing, takes no lock, needs no torch."""
    facts = observe(project)
    entries = observed_history.read(project.layout)
    holder = locks.holder(project.layout.lock)
    running = facts.process
    good = last_good(project.layout, facts.snapshots)
    features = state(project.runbook, facts)
    found = faults(project, facts)
    lines = [*_left_staged(project), *([held_by(holder)] if holder is not None else [])]
    lines += [fault.words for fault in found]
    data: dict[str, Any] = {
        "service": project.runbook.service,
        "features": {
            name: {"state": word, "title": project.runbook.feature(name).title.say(project.language)}
            for name, word in features.items()
        },
        "trainer": lifecycle.status(project, running).data,
        "snapshots": len(facts.snapshots),
        "latest_snapshot": latest.id if (latest := newest(project.layout, facts.snapshots)) else None,
        "last_good": good.id if good else None,
        "open_operation": facts.open_operation.id if facts.open_operation else None,
        "last_operation": entries[-1] if entries else None,
        "locked_by": holder,
        "faults": [vars(fault) for fault in found],
    }
    where = f", pid {running.pid}" if running.pid else ""
    step = f", step {running.step}" if running.step is not None else ""
    return Result(
        "status",
        Exit.DONE,
        f"{project.runbook.service}: trainer {running.state}{where}{step}",
        lines=tuple(lines),
        data=data,
    )


def _left_staged(project: Project) -> list[str]:
    try:
        state = observed_staged.read(project.layout)
    except Refused as error:
        return [error.what]
    return [f"{state.words} (since {state.started}, {state.operator}): atftctl resume"] if state else []


def history(project: Project, most: int) -> Result:
    entries = observed_history.read(project.layout)
    return Result("history", Exit.DONE, counted(len(entries), "operation"), data={"operations": entries[-most:]})


def show(project: Project, word: str) -> Result:
    """All that is known of one operation: plan, diff, evidence, timeline, verdict, who, why."""
    layout = project.layout
    entry = observed_history.find_any(observed_history.read(layout), word)
    folder = layout.operations / str(entry["operation"])
    evidence = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    plan = observed_history.evidence(folder / "plan.json")
    data = {
        **entry,
        "steps": plan.get("steps", []),
        "diff": tail(folder, "change.diff", 500),
        "evidence": {"folder": str(folder.relative_to(layout.root)), "files": evidence},
    }
    return Result("show", Exit.DONE, f"{entry['command']} {entry['operation']}: {entry['title']}", data=data)


def check_history(project: Project) -> Result:
    """Is each line the one that was written?"""
    problems = observed_history.tampered(project.layout)
    count = len(observed_history.read(project.layout))
    whole = f"the history is whole: {counted(count, 'operation')}"
    return Result(
        "history",
        Exit.CHECK_FAILED if problems else Exit.DONE,
        f"{counted(len(problems), 'problem')} in the history" if problems else whole,
        lines=tuple(problems),
        data={"problems": problems, "operations": count},
        contacts=project.contacts if problems else (),
    )


def recover(project: Project, request: Request, *, back: bool = False) -> Result:
    """Finish or unwind what a crash left open. `back`: put back what was decided, too. Exit 1 where the trainer should
    run and could not be started."""
    with locked(project, "recover", request, back=back) as done:
        pass
    return Result(
        "recover",
        Exit.CHECK_FAILED if done.not_started else Exit.DONE,
        "; ".join(done.lines) or "nothing was left open",
        lines=("next: atftctl trainer start",) if done.not_started else (),
        data={"recovered": done.lines},
        contacts=project.contacts if done.not_started else (),
    )


def lint(project: Project) -> Result:
    """All that is wrong in the runbook; exit 1 where something is."""
    book, name = project.runbook, project.layout.runbook.relative_to(project.layout.root)
    found = runbook_faults(project)
    wrong = [fault for fault in found if fault.blocks]
    parts = {"feature": book.features, "symptom": book.symptoms, "plan": book.plans}
    words = ", ".join(counted(len(part), one) for one, part in parts.items())
    many = counted(len(wrong), "problem")
    return Result(
        "runbook lint",
        Exit.CHECK_FAILED if wrong else Exit.DONE,
        f"{name}: {many if wrong else 'no problem found'} ({words})",
        lines=tuple(fault.words for fault in found),
        data={"problems": [vars(fault) for fault in found]},
        contacts=project.contacts if wrong else (),
    )


def runbook(project: Project) -> Result:
    """What the runbook says, checked: a broken one does not get this far."""
    book, say = project.runbook, project.language
    data = {
        "service": book.service,
        "features": {
            name: {
                "title": one.title.say(say),
                "file": one.file,
                "key": one.key,
                "baseline": one.baseline,
                "improved": one.improved,
            }
            for name, one in book.features.items()
        },
        "symptoms": {
            name: {
                "title": one.title.say(say),
                "cause": one.cause.say(say),
                "settings": dict(one.settings),
                "resume": one.resume,
                "minutes": one.minutes,
            }
            for name, one in book.symptoms.items()
        },
        "plans": {
            name: [{"title": phase.title.say(say), "settings": dict(phase.settings)} for phase in phases]
            for name, phases in book.plans.items()
        },
        "contacts": list(project.contacts),
    }
    return Result(
        "runbook show",
        Exit.DONE,
        f"{book.service}: {len(book.features)} features, {len(book.symptoms)} symptoms",
        data=data,
        lines=project.warnings,
    )
