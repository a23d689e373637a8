"""`atftctl diagnose` on what one generation wrote: 5 MB of log and 50,000 rows, 100 MB and 1,000,000 rows.

Ends with one line of JSON; exit 1 where a target is missed. Medians of the time and of the processor time, since these
machines are noisy.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.metrics import COLUMNS, row  # noqa: E402
from bench.report import finish  # noqa: E402
from tests.support.projects import Project, make_project, processes_of, wait_for  # noqa: E402

ROUNDS = 5
SIZES = {"small": (5 << 20, 50_000, 0.5), "large": (100 << 20, 1_000_000, 5.0)}  # bytes of log, rows, seconds
LINE = "{now:%Y-%m-%d %H:%M:%S} INFO step {step} epoch 0 loss 0.9931 grad norm 1.21 memory 251 MB, 0.51 s\n"


def write(project: Project, size: int, rows: int) -> None:
    """What a healthy trainer of the recorded generation would have written."""
    generation = project.record()["generation"]
    lines = "".join(LINE.format(now=datetime.now().astimezone(), step=step) for step in range(10_000))
    with (project.root / "logs" / "training.log").open("w") as file:
        for _ in range(size // len(lines) + 1):
            file.write(lines)
    with (project.root / "logs" / "metrics.csv").open("w") as file:
        file.write(f"{COLUMNS},generation\n")
        file.writelines(row(step, generation) for step in range(1, rows + 1))


def timed(project: Project, *argv: str) -> tuple[float, float]:
    """(seconds until it ended, seconds of processor time)."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "atftctl", *argv], cwd=project.root, env=project.env, capture_output=True, text=True
    )
    assert done.returncode in (0, 6), done
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name) / "project", Path(name) / "violations")
        del project.env["PYTHONDONTWRITEBYTECODE"]  # an installed atftctl has its bytecode
        project.env["PYTHONPYCACHEPREFIX"] = str(Path(name) / "bytecode")
        timed(project, "diagnose")
        project.start_trainer()
        wait_for(lambda: (project.root / "logs" / "metrics.csv").exists())
        stopped = project.run("trainer", "stop")
        assert stopped.code == 0, stopped
        runs = {"version": [timed(project, "--version") for _ in range(ROUNDS)]}
        for size, (log, rows, _) in SIZES.items():
            write(project, log, rows)
            runs[size] = [timed(project, "diagnose") for _ in range(ROUNDS)]
        assert not processes_of(project.root)
    for at, unit in enumerate(("s", "cpu_s")):
        figures |= {f"{kind}_{unit}": statistics.median(run[at] for run in measured) for kind, measured in runs.items()}
    finish("diagnose", figures, {f"{size}_s": ("<=", limit) for size, (_, _, limit) in SIZES.items()})


if __name__ == "__main__":
    main()
