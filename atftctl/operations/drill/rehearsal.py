"""`drill`: rehearse an incident in a scratch copy of the project.

A real trainer really runs out of memory; only the limit is chosen.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atftctl.decide.symptoms import find_symptom
from atftctl.domain.errors import InterventionNeeded, Refused, UsageError
from atftctl.domain.result import Data, Reporter, Result
from atftctl.domain.runbook import Detector
from atftctl.operations.drill.parts import Drill, run_parts
from atftctl.operations.project import Project
from atftctl.operations.trainer_process import lifecycle
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

REHEARSED: Detector = "out-of-memory"  # the detector of the symptom that is rehearsed


@dataclass(frozen=True)
class DrillData(Data):
    """A drill that passed. total_s: seconds in all. seen: what was measured: the memory in MB and its limit, the cause
    of the crash, the changes of the rollback and the checks. timeline: one line for each part."""

    total_s: float
    seen: Mapping[str, Any]
    timeline: tuple[str, ...]


def run(project: Project, symptom: str, data: str, report: Reporter, *, keep: bool) -> Result:
    """Rehearse an incident. Every part must succeed; the first that fails ends the drill with its obstacle.

    `symptom`: its name, alias or title; "" for the one that is rehearsed. `data`: a file with real prices; "" for
    synthetic ones. `keep`: keep the scratch copy. Raises UsageError, Inconclusive, InterventionNeeded.
    """
    name = _rehearsed_symptom(project, symptom)
    if data and not Path(data).is_file():
        raise UsageError(tr("{path}: no such file", path=data))
    home = Path(tempfile.mkdtemp(prefix="atftctl-drill-"))
    begun = time.monotonic()
    drill = Drill(project, report, name)
    try:
        run_parts(drill, home, str(Path(data).absolute()) if data else "")
    finally:
        _clean_up(drill, home, keep=keep)
    total = time.monotonic() - begun
    return Result(
        "drill",
        Exit.DONE,
        tr(
            "drill passed in {total:.0f} s: out of memory, rolled back in {rollback:.1f} s (target {target} min), "
            "verified, phase 1 is on again",
            total=total,
            rollback=next(part.seconds for part in drill.parts if part.name == "rollback"),
            target=project.runbook.symptoms[name].minutes,
        ),
        lines=(tr("the scratch copy is {folder}", folder=home / "project"),) if keep else (),
        data=DrillData(total, drill.seen, tuple(drill.lines)),
        parts=tuple(drill.parts),
    )


def _rehearsed_symptom(project: Project, symptom: str) -> str:
    """Return the name of the symptom. Raises UsageError for one that has no drill."""
    rehearsed = project.runbook.symptom_by(REHEARSED)
    name, _ = find_symptom(project.runbook, symptom or rehearsed)
    if project.runbook.symptoms[name].detector != REHEARSED:
        hint = tr("no symptom of the runbook has the detector {detector}", detector=REHEARSED)
        if rehearsed:
            hint = tr("run: atftctl drill --symptom {symptom}", symptom=rehearsed)
        raise UsageError(
            tr("there is no drill for {symptom}: only running out of memory is rehearsed", symptom=name), hint=hint
        )
    return name


def _clean_up(drill: Drill, home: Path, *, keep: bool) -> None:
    """Stop the trainer and remove the scratch copy, whatever ended the drill."""
    if drill.root != home / "project":
        shutil.rmtree(home, ignore_errors=True)
        return
    request = dataclasses.replace(drill.request, reason="the drill is over")
    try:
        lifecycle.stop(drill.project, (), request)
    except (Refused, InterventionNeeded) as error:
        drill.report.note(tr("the trainer of the drill may still be running: {reason}", reason=error.message))
        return
    if not keep:
        shutil.rmtree(home, ignore_errors=True)
