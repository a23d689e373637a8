"""A project with an incident: a trainer that ran out of memory, a rollback, and the metrics of both trainers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from tests.support.metrics import COLUMNS, FILE, row
from tests.support.projects import OOM, Project

REASON = "memory rose since step 300"
HEADER = ",".join((*COLUMNS, "generation"))


def rows(generation: int, first: int, last: int, **other: object) -> list[str]:
    """Rows of a trainer: memory that rises and a loss that falls."""
    return [
        row(
            step, generation, loss_rel=round(1 + 0.3 * math.exp(-step / 2000) + 0.01 * math.sin(step * 1.7), 6),
            rss_mb=round(250 + step / 50, 1), **other,
        )
        for step in range(first, last + 1)
    ]  # fmt: skip


def write(project: Project, lines: Iterable[str]) -> None:
    project.write(FILE, "\n".join([HEADER, *lines]) + "\n")


def roll_back(
    project: Project, before: list[str], after: list[str], *arguments: str, reason: str = REASON
) -> dict[str, Any]:
    """The trainer runs out of memory, an operator rolls back, and the new trainer writes rows. Returns the line of the
    history."""
    project.behave("oom")
    assert project.run("trainer", "start").code == 1
    project.behave()
    write(project, before)
    done = project.run(*(arguments or OOM), "--reason", reason)
    assert done.code == 0, done
    assert project.run("trainer", "stop").code == 0
    write(project, [*before, *after])
    return next(line for line in reversed(history(project)) if line["command"] == (arguments or OOM)[0])


def history(project: Project) -> list[dict[str, Any]]:
    return [json.loads(line) for line in project.read(".atftctl/history.jsonl").splitlines()]


def rewrite(project: Project, **fields: object) -> dict[str, Any]:
    """Change the newest rollback's line in the history. The result is not one that `history --check` accepts."""
    lines = history(project)
    line = next(line for line in reversed(lines) if line["command"] == "rollback")
    line |= fields
    project.write(".atftctl/history.jsonl", "".join(json.dumps(each) + "\n" for each in lines))
    return line
