"""`python -m tests.runs_long train|count|faults COUNT FOLDER [STEPS] [JOBS]`: train healthy runs that the folder does
not hold yet; count false alarms in them; put faults into them."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.runs_long.counting import count
from tests.runs_long.faults import replay_faults
from tests.runs_long.training import finished, train_all

STEPS, JOBS = 1000, 2


def main(verb: str, number: int, folder: Path, steps: int = STEPS, jobs: int = JOBS) -> int:
    """Do what the verb says; the exit code."""
    if verb == "train":
        failed = 0
        for run in train_all(number, steps, folder, jobs):
            print(f"{run.name}: {run.failed or 'healthy'} ({run.seconds:.0f} s)", flush=True)
            failed += bool(run.failed)
        return int(bool(failed))
    runs = finished(folder)
    if not runs:
        print(f"{folder} holds no runs; train some first: make runs-long RUNS_IN={folder}")
        return 2
    return count(runs[:number]) if verb == "count" else replay_faults(runs, number, seed=1)


if __name__ == "__main__":
    VERB, NUMBER, FOLDER, *REST = sys.argv[1:]
    sys.exit(main(VERB, int(NUMBER), Path(FOLDER).absolute(), *map(int, REST)))
