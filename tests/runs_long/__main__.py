"""`python -m tests.runs_long train COUNT FOLDER [STEPS] [JOBS]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.runs_long.training import train_all


def main(arguments: list[str]) -> int:
    """Train; print a line for each run; the exit code."""
    verb, count, folder, *rest = arguments
    steps, jobs = (*map(int, rest), *(1000, 2)[len(rest) :])
    assert verb == "train"
    for run in train_all(int(count), steps, Path(folder).absolute(), jobs):
        print(f"{run.name}: {run.failed or 'healthy'} ({run.seconds:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
