"""One incident in an example, from the first start to the last stop; and what its trainer reported of it."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

from atftctl import protocol
from tests.support.projects import Project, wait_for

LIMIT_S = 900.0  # on a machine that is so busy that a framework is imported for minutes
HEALTHY_STEPS = 60
GLUE = "# atftctl"  # ends each line of an example that is there for atftctl


def glue(project: Project) -> int:
    return sum(line.rstrip().endswith(GLUE) for line in project.read("train.py").decode().splitlines())


def events(project: Project, *kinds: str, generation: int = 0) -> list[dict[str, Any]]:
    path = project.root / protocol.EVENTS
    lines = path.read_text().splitlines() if path.exists() else []
    seen = [json.loads(line) for line in lines]
    return [
        event
        for event in seen
        if (not kinds or event["event"] in kinds) and generation in (0, event["generation"])
    ]  # fmt: skip


def rows(project: Project, generation: int) -> list[dict[str, str]]:
    """Also those of a file that was renamed when a validation brought a new column."""
    collected: list[dict[str, str]] = []
    for path in (project.root / protocol.METRICS).parent.glob("metrics.csv*"):
        with path.open(newline="") as file:
            collected += [row for row in csv.DictReader(file) if row["generation"] == str(generation)]
    return sorted(collected, key=lambda row: int(row["step"]))


def succeed(project: Project, *arguments: str) -> dict[str, Any]:
    ended = project.run(*arguments, "--json", limit_s=LIMIT_S)
    assert ended.code == 0, ended
    return ended.json


def break_and_roll_back(project: Project, last: str, *, again: bool = False) -> None:
    """`last`: the checkpoint that the trainer saves when it is asked to stop, as its events name it. `again`: also go on
    from it, after a second rollback; each start of a framework takes ten seconds."""
    succeed(project, "runbook", "lint")
    [runbook] = (project.root / "runbooks").glob("*.yaml")
    project.replace(f"runbooks/{runbook.name}", "ready_s: 120", f"ready_s: {LIMIT_S:.0f}")
    project.replace(f"runbooks/{runbook.name}", "grace_s: 30", "grace_s: 120")
    succeed(project, "trainer", "start")
    wait_for(lambda: events(project, protocol.CHECKPOINT), LIMIT_S)
    assert len(events(project, protocol.FIRST_STEP)) == 1

    project.replace("config.yaml", "lr: 0.01", "lr: 1.0e+38")
    broken = project.read("config.yaml")
    succeed(project, "trainer", "restart")
    saved = events(project, protocol.CHECKPOINT)[-1]
    wait_for(lambda: events(project, protocol.STOPPED, generation=2), LIMIT_S)
    assert [event["exit_code"] for event in events(project, protocol.STOPPED)] == [10, 12]
    assert events(project, protocol.CHECKPOINT)[-1] == saved, "weights that are not finite were saved"
    assert "divergence" in project.run("diagnose", limit_s=LIMIT_S).out

    succeed(project, "rollback", "--symptom", "divergence", "--yes")
    healthy(project, generation=3, after=saved["step"])
    succeed(project, "trainer", "stop")
    [stopped] = events(project, protocol.STOPPED, generation=3)
    checkpoint = events(project, protocol.CHECKPOINT)[-1]
    assert (stopped["exit_code"], checkpoint["step"], checkpoint["generation"]) == (10, stopped["step"], 3)
    assert checkpoint["path"] == last.format(step=stopped["step"])

    succeed(project, "undo", "--yes")
    assert project.read("config.yaml") == broken
    if again:
        succeed(project, "rollback", "--symptom", "divergence", "--yes")
        succeed(project, "trainer", "start")
        healthy(project, generation=events(project)[-1]["generation"], after=stopped["step"])


def healthy(project: Project, generation: int, after: int) -> None:
    """It goes on from the checkpoint of this step, and trains on with finite losses."""
    wait_for(lambda: len(rows(project, generation)) >= HEALTHY_STEPS, LIMIT_S)
    [started] = events(project, protocol.STARTED, generation=generation)
    assert (started["step"], started["effective"]["optimizer.lr"]) == (after, 0.01)
    assert started["resumed_from"] != "scratch" and 0 < started["resumed_generation"] < generation
    assert all(math.isfinite(float(row["loss"])) for row in rows(project, generation))
    assert int(rows(project, generation)[0]["step"]) == after + 1
    assert not events(project, protocol.ANOMALY, generation=generation)
