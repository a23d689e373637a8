"""`atftctl incident --html` on an operation with 50,000 rows of metrics, and on one with a million.

Ends with one line of JSON; exit 1 where a target is missed. Medians of the time and of the processor time, since these
machines are noisy.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.diagnose import timed  # noqa: E402
from bench.report import finish  # noqa: E402
from tests.support.incidents import roll_back, rows  # noqa: E402
from tests.support.projects import make_project, processes_of  # noqa: E402

ROUNDS = 5
SIZES = {"small": 50_000, "large": 1_000_000}
LIMIT_S, LIMIT_KB = 1.0, 200.0
AFTER = 1000  # rows after the operation


def main() -> None:
    figures: dict[str, float] = {}
    for size, count in SIZES.items():
        with tempfile.TemporaryDirectory() as name:
            project = make_project(Path(name) / "project", Path(name) / "violations")
            project.env.pop("PYTHONDONTWRITEBYTECODE")  # an installed atftctl has its bytecode
            project.env["PYTHONPYCACHEPREFIX"] = str(Path(name) / "bytecode")
            roll_back(project, rows(1, 1, count - AFTER), rows(2, count - 2 * AFTER, count - AFTER))
            runs = [timed(project, "incident", "--html", "page.html") for _ in range(ROUNDS + 1)][1:]
            figures[f"{size}_kb"] = (project.root / "page.html").stat().st_size / 1000
            figures |= {
                f"{size}_{unit}": statistics.median(run[at] for run in runs) for at, unit in enumerate(("s", "cpu_s"))
            }
            assert not processes_of(project.root)
    finish("incident", figures, {"small_s": ("<=", LIMIT_S), **{f"{size}_kb": ("<=", LIMIT_KB) for size in SIZES}})


if __name__ == "__main__":
    main()
