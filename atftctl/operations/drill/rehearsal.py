"""`drill`: rehearse incidents in scratch copies of the project.

A real trainer really fails; how the fault is made is data of the runbook.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from atftctl.decide.symptoms import find_symptom
from atftctl.domain import missing_parts
from atftctl.domain.errors import AtftError, Inconclusive, Refused, UsageError
from atftctl.domain.result import Reporter, Result
from atftctl.host.errors import HostError, reason
from atftctl.host.process import rights
from atftctl.operations.drill import aftermath, faults, healthy, incident
from atftctl.operations.drill.drill import Drill
from atftctl.operations.drill.outcome import EXIT_OF, DrillData, Rehearsed, overall, sentence
from atftctl.operations.project import Project
from atftctl.operations.report import incident as incident_report
from atftctl.operations.report.incident_data import IncidentData, IncidentPart
from atftctl.operations.trainer_process import lifecycle
from atftctl.protocol.messages import joined, tr


def run(
    project: Project, symptom: str, data: str, report: Reporter, *, keep: bool = False, every: bool = False
) -> Result:
    """Rehearse the incident of one symptom, or of each that has a drill.

    `symptom`: its name, alias or title; "" for the first one of the runbook's drills. `data`: a file with real prices;
    "" for synthetic ones. `keep`: keep the scratch copies; that of a drill that fails is kept in any case. `every`: all
    symptoms. Raises UsageError, and Refused for root in a user's project.
    """
    _refuse_for_another(project)
    names = _rehearsed(project, symptom, every=every)
    if data and not Path(data).is_file():
        raise UsageError(tr("{path}: no such file", path=data))
    prices = str(Path(data).absolute()) if data else ""
    begun = time.monotonic()
    drills = tuple(_rehearse(project, name, prices, report, keep=keep) for name in names)
    missing = [name for name in project.runbook.symptoms if name not in project.runbook.drill.faults] if every else []
    result = DrillData(overall(drills), time.monotonic() - begun, drills, tuple(missing))
    exit_code = EXIT_OF[result.verdict]
    return Result(
        "drill",
        exit_code,
        sentence(result),
        data=result,
        contacts=project.contacts if result.verdict == "not restored" else (),
    )


def _refuse_for_another(project: Project) -> None:
    """The scratch copy would be root's own, and the code in it the user's."""
    if (user := rights.user_of(project.layout.root)) is not None:
        owner = user.name or f"'#{user.uid}'"  # as sudo takes a user id
        raise Refused(
            tr("root can't rehearse in the project of {owner}: the user's code would run as root", owner=user.label),
            hint=tr("run it as the owner: {command}", command=f"sudo -u {owner} atftctl drill"),
        )


def _rehearsed(project: Project, symptom: str, *, every: bool) -> Sequence[str]:
    """The names of the symptoms to rehearse. Raises UsageError for one that has no drill."""
    book = project.runbook
    known = book.drill.faults
    hint = tr("drills are described in the runbook, under drill.faults")
    if not known:
        raise missing_parts.drills(book)
    if every:
        return tuple(known)
    name = find_symptom(book, symptom)[0] if symptom else next(iter(known))
    if name not in known:
        text = tr("there is no drill for {symptom}; there are drills for: {names}", symptom=name,
                  names=joined(", ", known))  # fmt: skip
        raise UsageError(text, hint=hint)
    return (name,)


def _rehearse(project: Project, name: str, data: str, report: Reporter, *, keep: bool) -> Rehearsed:
    """One drill. What ends it early becomes its verdict; only an interruption is raised."""
    home = Path(tempfile.mkdtemp(prefix="atftctl-drill-"))
    drill = Drill(project, report, name, project.runbook.drill.faults[name])
    begun, kept, obstacle, verdict = time.monotonic(), True, "", "restored"
    story: IncidentPart | None = None
    try:
        _run_parts(drill, home, data)
        kept = keep
    except Inconclusive as error:
        verdict, obstacle = "inconclusive", _text(error)
    except AtftError as error:
        verdict, obstacle = "not restored", _text(error)
    except (OSError, HostError) as error:
        verdict, obstacle = "not restored", reason(error)
    except BaseException:
        kept = keep
        raise
    finally:
        story = _story(drill)
        _clean_up(drill, home, keep=kept)
    return Rehearsed(
        symptom=name,
        title=project.runbook.symptoms[name].title.say(project.language),
        verdict=verdict,  # type: ignore[arg-type]
        obstacle=obstacle or None,
        target_minutes=project.runbook.symptoms[name].minutes,
        total_s=time.monotonic() - begun,
        seconds=drill.timeline.seconds(),
        seen=drill.seen,
        timeline=tuple(drill.lines),
        folder=str(home / "project") if kept else None,
        incident=story,
    )


def _story(drill: Drill) -> IncidentPart | None:
    """What `incident` tells of the watcher's rollback, while its scratch copy is there; None where there was none."""
    operation = str(drill.seen.get("act", {}).get("operation") or "")
    if not operation:
        return None
    try:
        data = incident_report.incident(drill.project, (operation,)).data
    except (AtftError, HostError, OSError):
        return None
    assert isinstance(data, IncidentData)
    return data.operations[0]


def _text(error: AtftError) -> str:
    return f"{error.message} ({error.state})" if error.state else error.message


def _run_parts(drill: Drill, home: Path, data: str) -> None:
    """Run all parts. Raises the obstacle of the first that fails."""
    drill.part("scratch copy", "", lambda: healthy.prepare(drill, home, data))
    drill.part("healthy run", "atftctl rollback --immediate; atftctl trainer start", lambda: healthy.train(drill))
    drill.part("baseline", "atftctl baseline record; atftctl backup --label known-good", lambda: healthy.record(drill))
    with drill.incident_environment():
        drill.part("fault", "", lambda: faults.make(drill))
        drill.part("incident", "atftctl trainer start; atftctl watch --auto", lambda: incident.run(drill))
        if drill.project.runbook.symptoms[drill.symptom].resume == "scratch":  # a new run is worse at first
            drill.part("outcome", "", lambda: incident.settle(drill))
            drill.part("training", "", lambda: aftermath.catch_up(drill))
            drill.part("verify", "atftctl verify", lambda: aftermath.verify(drill))
        else:  # the new trainer goes on while the checklist is made
            drill.part("verify", "atftctl verify", lambda: aftermath.verify(drill))
            drill.part("outcome", "", lambda: incident.settle(drill))
        drill.part("re-enable", "atftctl reenable --phase 1", lambda: aftermath.turn_on(drill))


def _clean_up(drill: Drill, home: Path, *, keep: bool) -> None:
    """Stop the trainer and remove the scratch copy, whatever ended the drill."""
    if drill.root == home / "project":
        try:
            lifecycle.stop(drill.project, (), drill.request)
        except (AtftError, HostError, OSError) as error:
            drill.report.note(tr("the trainer of the drill may still be running: {reason}", reason=reason(error)))
            return
    if not keep:
        shutil.rmtree(home, ignore_errors=True)
