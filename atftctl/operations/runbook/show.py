"""`runbook show` and `runbook lint`."""

from __future__ import annotations

from atftctl.domain.result import Result
from atftctl.domain.text import counted
from atftctl.operations.project import Project
from atftctl.operations.report.health import runbook_faults
from atftctl.protocol import Exit


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
