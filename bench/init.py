"""How long `init --dry-run` takes on a repository of 10,000 files and on one of 100,000, as a user starts it.

Ends with one line of JSON; exit 1 where a target is missed. Medians, since these machines are noisy.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.report import finish  # noqa: E402

ROUNDS = 5
CONFIG = "training: {lr: 0.1, use_ema: true}\nmodel: {layers: 2}\n"
SUFFIXES = ("py", "py", "yaml", "json", "csv", "md", "log")


def repository(root: Path, folders: int, files: int) -> None:
    """Source files, configs and tables in packages, and one folder with data."""
    for number in range(folders):
        folder = root / f"package{number % 10}" / f"part{number}"
        folder.mkdir(parents=True)
        for at in range(100):
            path = folder / f"train_config_{at}.{SUFFIXES[at % len(SUFFIXES)]}"
            path.write_text("step,loss\n1,2\n" if path.suffix == ".csv" else CONFIG)
    data = root / "data"
    data.mkdir()
    for number in range(files - 100 * folders):
        (data / f"{number}.bin").touch()
    (root / "config.yaml").write_text(CONFIG)
    (root / "train.py").write_text("")


def seconds(root: Path) -> float:
    """The median of several runs."""
    taken = []
    for _ in range(ROUNDS):
        begun = time.monotonic()
        argv = [sys.executable, "-m", "atftctl", "init", "--dry-run"]
        subprocess.run(argv, cwd=root, check=True, stdout=subprocess.DEVNULL, env={"PYTHONPATH": str(ROOT), "PATH": ""})
        taken.append(time.monotonic() - begun)
    return statistics.median(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = {}
        for name, folders, files in (("files_10k_s", 90, 10_000), ("files_100k_s", 400, 100_000)):
            root = Path(folder) / name
            root.mkdir()
            repository(root, folders, files)
            figures[name] = seconds(root)
    finish("init", figures, {"files_10k_s": ("<=", 2.0), "files_100k_s": ("<=", 5.0)})


if __name__ == "__main__":
    main()
