"""How fast the emergency path is: ratios in one run, against an empty typer app and the guide's shell lines.

Ends with one line of JSON; exit 1 where a target is missed. Medians, since these machines are noisy.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.report import finish  # noqa: E402

ROUNDS = 11
FIRST_STEPS = 5
EMPTY = """
import typer
app = typer.Typer(rich_markup_mode=None, add_completion=False)
@app.command()
def main() -> None: ...
app()
"""
GUIDE = """
cp configs/atft/config.yaml configs/atft/config.yaml.backup
cp configs/atft/train/production.yaml configs/atft/train/production.yaml.backup
cat > configs/atft/config.yaml << EOF
improvements:
  use_ema: false
  online_normalization: false
EOF
"""
COUNT_FSYNC = """
import os, sys, time
real, spent = os.fsync, [0.0, 0]
def fsync(handle):
    begun = time.perf_counter(); real(handle); spent[0] += time.perf_counter() - begun; spent[1] += 1
os.fsync = fsync
sys.argv = ["atftctl", *sys.argv[1:]]
from atftctl.cli.main import main
try: main()
finally: print("FSYNC", spent[1], spent[0], file=sys.stderr)
"""


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def command(root: Path, *words: str, program: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *(program or ["-m", "atftctl"]), *words],
        cwd=root, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def scratch(home: Path, name: str) -> Path:
    root = home / name
    for folder in ("configs", "runbooks"):
        shutil.copytree(ROOT / folder, root / folder)
    return root


def startup(home: Path) -> dict[str, float]:
    """Seconds: medians over rounds, the programs taken in turns so that noise falls on all alike."""
    root, asking = scratch(home, "startup"), scratch(home, "asking")
    without_settings_check(root)
    empty = home / "empty.py"
    empty.write_text(EMPTY)
    seconds: dict[str, list[float]] = {}
    fsyncs: list[float] = []
    counts: list[int] = []
    for _ in range(ROUNDS):
        for name, act in {
            "empty": lambda: command(home, program=[str(empty)]),
            "help": lambda: command(root, "--help"),
            "dry_run": lambda: command(root, "rollback", "--symptom", "oom", "--dry-run"),
            "dry_run_asking": lambda: command(asking, "rollback", "--symptom", "oom", "--dry-run"),
            "guide": lambda: subprocess.run(["bash", "-c", GUIDE], cwd=scratch_guide(home), check=True),
        }.items():
            seconds.setdefault(name, []).append(timed(act))
        begun = time.perf_counter()
        done = command(root, "rollback", "--symptom", "oom", "--yes", "--no-restart", program=["-c", COUNT_FSYNC])
        seconds.setdefault("rollback", []).append(time.perf_counter() - begun)
        _, count, spent = next(line for line in done.stderr.splitlines() if line.startswith("FSYNC")).split()
        fsyncs.append(float(spent))
        counts.append(int(count))
        command(root, "undo", "--yes")
    found = {name: statistics.median(values) for name, values in seconds.items()}
    return found | {"fsync": statistics.median(fsyncs), "fsyncs": counts[-1]}


def without_settings_check(root: Path) -> None:
    """The trainer's own check of the settings is a process of the trainer's, which has 2 s of its own."""
    for path in (root / "runbooks").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.lstrip().startswith("validate:")))


def scratch_guide(home: Path) -> Path:
    root = home / "guide"
    shutil.rmtree(root, ignore_errors=True)
    return scratch(home, "guide")


def first_step(home: Path) -> dict[str, float]:
    """Seconds from `rollback` to the trainer's first step, and from the bare trainer's start to its first step."""
    from atftctl import protocol
    from atftctl.host.files.reading import size_of
    from atftctl.observe.trainer_run import event_log

    root = scratch(home, "first")
    command(root, "trainer", "start")  # fills the feature cache and writes the first checkpoint
    command(root, "trainer", "stop")
    bare, rolled = [], []
    for _ in range(FIRST_STEPS):
        offset = size_of(root / protocol.EVENTS)
        begun = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "atftctl.trainer", "train"],
            cwd=root, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not any(event["event"] == "first_step" for event in event_log.events(root, offset=offset)):
            time.sleep(0.005)
        bare.append(time.perf_counter() - begun)
        child.terminate()
        child.wait()
        died(root)
        begun = time.perf_counter()
        command(root, "rollback", "--symptom", "oom", "--yes")
        rolled.append(time.perf_counter() - begun)
        command(root, "trainer", "stop")
        command(root, "undo", "--yes")
    over = statistics.median(mine - theirs for mine, theirs in zip(rolled, bare, strict=True))
    return {
        "bare_first_step": statistics.median(bare),
        "rollback_first_step": statistics.median(rolled),
        "over": over,
    }


def died(root: Path) -> None:
    """The incident: a trainer of ours that was killed."""
    import signal

    command(root, "trainer", "start")
    record = json.loads((root / ".atftctl/process.json").read_bytes())
    os.kill(record["pid"], signal.SIGKILL)
    time.sleep(0.2)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        found = startup(home)
        found |= first_step(home)
    figures = {
        "empty_typer_app_ms": found["empty"] * 1000,
        "help_ratio": found["help"] / found["empty"],
        "dry_run_ratio": found["dry_run"] / found["empty"],
        "settings_check_ms": (found["dry_run_asking"] - found["dry_run"]) * 1000,
        "rollback_ratio": found["rollback"] / found["empty"],
        "rollback_ratio_without_fsync": (found["rollback"] - found["fsync"]) / found["empty"],
        "fsync_ms": found["fsync"] * 1000,
        "fsyncs": found["fsyncs"],
        "guide_by_hand_ms": found["guide"] * 1000,
        "bare_trainer_to_first_step_s": found["bare_first_step"],
        "rollback_to_first_step_s": found["rollback_first_step"],
        "rollback_over_bare_s": found["over"],
    }
    bounds = {"help_ratio": 1.5, "dry_run_ratio": 3.0, "rollback_ratio": 4.0, "rollback_over_bare_s": 0.5}
    finish("startup", figures, {name: ("<=", bound) for name, bound in bounds.items()})


if __name__ == "__main__":
    main()
