"""`atftctl metrics --summary` over a million rows, beside a plain `pandas.read_csv` of the same file.

Ends with one line of JSON; exit 1 where a target is missed. Medians, since these machines are noisy.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.report import finish  # noqa: E402
from tests.support.projects import make_project  # noqa: E402

ROWS, ROUNDS, LIMIT_S = 1_000_000, 3, 2.0
COLUMNS = "step,epoch,loss,loss_rel,mse,val_loss,rankic_h1,rankic_h5,rankic_h10,rankic_h20,grad_norm,lr,rss_mb,step_s"
PANDAS = "import sys, pandas; print(pandas.read_csv(sys.argv[1]).describe().shape)"


def row(step: int, generation: int) -> str:
    loss = 1 + 1 / step + (step * 7919 % 1000) / 1e4
    quality = ["", "", "", "", ""]
    if step % 100 == 0:
        quality = [f"{loss:.6f}", f"0.031{step % 97}", f"0.02{step % 89}", f"0.01{step % 83}", f"0.0{step % 79}"]
    cells = [step, step // 2000, f"{loss:.8g}", f"{loss:.8g}", f"0.9{step % 77}", *quality, f"0.5{step % 91}"]
    cells += [0.001, 250.25 + step % 13, f"0.5{step % 31}", generation]
    return ",".join(map(str, cells)) + "\n"


def write(folder: Path, damage: str = "") -> Path:
    """A million rows in three branches; damage: lines that are put into the middle."""
    path = folder / "logs" / "metrics.csv"
    path.parent.mkdir(exist_ok=True)
    spans = ((1, 1, 500_000), (2, 400_001, 700_000), (3, 600_001, 800_000))
    with path.open("w") as file:
        file.write(f"{COLUMNS},generation\n")
        for generation, first, last in spans:
            file.writelines(row(step, generation) for step in range(first, last + 1))
            file.write(damage)
    return path


def timed(*argv: str, folder: Path) -> tuple[float, float]:
    """(seconds until it ended, seconds of processor time)."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name) / "project", Path(name) / "violations")
        tool = [sys.executable, "-m", "atftctl"]
        path = write(project.root)
        commands = {
            "pandas": [sys.executable, "-c", PANDAS, str(path)],
            "summary": [*tool, "metrics", "--summary"],
            "default": [*tool, "metrics"],
            "tail": [*tool, "metrics", "--tail", "20"],
            "status": [*tool, "status"],
        }
        runs = [{kind: timed(*argv, folder=project.root) for kind, argv in commands.items()} for _ in range(ROUNDS)]
        write(project.root, damage="1,2,3\n900001,0,oops" + ",1" * 12 + "\nnonsense \xff\n")
        for run in runs:
            run["damaged"] = timed(*commands["summary"], folder=project.root)
    figures = {}
    for at, unit in enumerate(("s", "cpu_s")):
        figures |= {f"{kind}_{unit}": statistics.median(run[kind][at] for run in runs) for kind in runs[0]}
    figures["summary_over_pandas"] = statistics.median(run["summary"][0] / run["pandas"][0] for run in runs)
    finish("metrics", figures, {"summary_s": ("<=", LIMIT_S), "summary_over_pandas": ("<=", 1.0)})


if __name__ == "__main__":
    main()
