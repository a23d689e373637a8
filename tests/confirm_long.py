"""The operator of a change that must be confirmed is killed at random instants, fifty times: `make confirm-long`."""

from __future__ import annotations

import random
import re
import sys
import tempfile
import time
from pathlib import Path

from tests.support import pending
from tests.support.pending import CHANGE, NEW, OLD
from tests.support.projects import CONFIG, Project, make_project, processes_of, wait_for

WITHIN = "2s"
HANGS_S = 600.0  # from then on no undo is expected any more; how late it begins is measured
LATE = re.compile(r"the time is over by (\d+\.\d+) s")


def strike(project: Project, after_s: float, *, decided: bool = True) -> tuple[float, float]:
    """Kill the operator so long after the new setting is in place; without `decided`, after the record of the wait is.

    Return how many seconds after the deadline the undo began, and how many after it the first file was written for it.
    Raises AssertionError where nothing undid the change, or the old setting is not there at the end.
    """
    operations = project.root / ".atftctl/operations"
    known = set(operations.iterdir()) if operations.exists() else set()
    child = project.start(*CHANGE, "--no-restart", "--confirm-within", WITHIN)
    wait_for((lambda: NEW in project.read(CONFIG)) if decided else (lambda: pending.record(project)), HANGS_S)
    time.sleep(after_s)
    operation, deadline = pending.record(project)["operation"], pending.record(project)["deadline"]
    child.kill()
    child.communicate()
    while not set(operations.iterdir()) - known - {operations / operation} and pending.record(project):
        deadline = pending.record(project).get("deadline", deadline)
        assert pending.boottime() < deadline + HANGS_S, pending.timer_log(project, operation)
        time.sleep(0.005)
    written = pending.boottime() - deadline
    wait_for(lambda: OLD in project.read(CONFIG) and not pending.record(project), HANGS_S)
    return float(LATE.findall(pending.timer_log(project, operation))[-1]), written


def main(times: int) -> int:
    """Strike so many times after the change, and a fifth of them before it; print the figures; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder, "project"), Path(folder, "violations"))
        undone = [strike(project, random.uniform(0, 1)) for _ in range(times)]
        before = [strike(project, random.uniform(0, 2), decided=False) for _ in range(times // 5)]
        wait_for(lambda: not processes_of(project.root))
    for name, figures in (("undo begun", [late for late, _ in undone]), ("first file", [file for _, file in undone])):
        figures.sort()
        middle, last = figures[len(figures) // 2], figures[-1]
        print(f"{name}: median {middle:.3f} s, latest {last:.3f} s after the deadline, {times} times of {times}")
    latest = max(late for late, _ in before)
    print(
        f"killed before or while the change was decided: {len(before)} times, undone at the latest after {latest:.3f} s"
    )
    return int(any(late >= 2.0 for late, _ in (*undone, *before)))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
