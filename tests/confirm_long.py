"""The operator of a change that must be confirmed is killed at a random instant, fifty times: `make confirm-long`."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.support import pending
from tests.support.pending import CHANGE, OLD
from tests.support.projects import CONFIG, Project, make_project, processes_of, wait_for

WITHIN = "2s"


def strike(project: Project, after_s: float) -> float:
    """Kill the operator so long after the record of the wait is written; return how late the undo began, in seconds.

    0 where the operator had not decided the change by then. Raises AssertionError where the old setting does not stay or
    come back.
    """
    operations = project.root / ".atftctl/operations"
    child = project.start(*CHANGE, "--no-restart", "--confirm-within", WITHIN)
    wait_for(lambda: pending.record(project))
    time.sleep(after_s)
    child.kill()
    child.communicate()
    waiting, before = pending.record(project), set(operations.iterdir())
    while not (begun := set(operations.iterdir()) - before) and pending.record(project):
        if pending.boottime() > waiting["deadline"] + 3:  # no timer yet, so nothing was decided
            assert OLD in project.read(CONFIG)
            assert project.run("recover").code == 0
        time.sleep(0.005)
    late = pending.boottime() - waiting["deadline"] if begun else 0.0
    wait_for(lambda: OLD in project.read(CONFIG) and not pending.record(project), 20)
    return late


def main(times: int) -> int:
    """Strike so many times; print the figures; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder, "project"), Path(folder, "violations"))
        lates = []
        for number in range(times):
            after_s = random.uniform(0, 3)
            lates.append(strike(project, after_s))
            print(f"{number + 1}: killed {after_s:.3f} s after the record, undo {lates[-1]:.3f} s after the deadline")
        wait_for(lambda: not processes_of(project.root), 30)
    begun = sorted(late for late in lates if late)
    print(f"{times} kills, {len(begun)} undos, {times - len(begun)} not changed; "
          f"median {begun[len(begun) // 2]:.3f} s, latest {begun[-1]:.3f} s")  # fmt: skip
    return int(begun[-1] >= 2.0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
