"""A stand-in for `trainer probe verify` without torch: it answers at once, and misbehaves as the file `probe` says.

One word per line: crash:PART, garbage:PART, hang, daemon, forks (100 processes), flood, whole (one answer for all parts),
nothing, kill, constant (no quality on any date), edit (a config).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

IDENTITY = {"panel": "p", "horizons": [1], "first": "2019-01-01", "last": "2019-12-31", "evaluation": 3}
DATES = [f"2019-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 11)]
ANSWERS = {
    "dataset": {"samples": 1000, "facts": {"stocks": 50, "days": 120}, "digest": "p"},
    "model": {"path": "models/best_model.pth", "sha256": "a" * 64, "parameters": 1000, "step": 7,
              "crc": True, "finite": True},
    "quality": {
        "horizon": 1, "identity": IDENTITY, "facts": {"stocks": 50}, "weights": "w", "predictions": "q",
        "by_date": {date: 0.01 * (number % 7) for number, date in enumerate(DATES)}, "mean": 0.03,
    },
    "training": {"steps": 15, "loss": 1.0, "grad_norm": 1.0, "memory_mb": 100.0, "data_mb": 120.0, "version": 2},
    "steps": {"step_s": 0.01, "step_s_ratio": 1.0, "step_s_ratio_lower": 0.9, "step_s_steps": 60, "version": 2},
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--part", action="append", default=[])
    arguments, _ = parser.parse_known_args()
    words = Path("probe").read_text().split() if Path("probe").exists() else []
    print("the probe begins", flush=True)
    misbehave(words)
    if "nothing" in words:
        return 4
    arguments.parts.mkdir()
    if "whole" in words:
        arguments.out.write_text(json.dumps({part: ANSWERS[part] for part in arguments.part}))
        return 0
    for part in arguments.part:
        (arguments.parts / f"{part}.log").write_text(f"measuring {part}\n")
        if f"crash:{part}" in words:
            os.kill(os.getpid(), signal.SIGKILL)
        if part == "quality" and "constant" in words:
            ANSWERS[part] |= {"by_date": {}, "mean": "nan"}
        answer = "{" if f"garbage:{part}" in words else json.dumps(ANSWERS[part])
        (arguments.parts / f"{part}.json").write_text(answer)
    return 0


def misbehave(words: list[str]) -> None:
    if "kill" in words:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "daemon" in words and os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            Path("daemon.pid").write_text(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    if "forks" in words:
        for _ in range(100):
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
        time.sleep(600)
    if "edit" in words:
        with Path("configs/atft/config.yaml").open("a") as file:
            file.write("# edited\n")
    if "hang" in words:
        time.sleep(600)
    if "flood" in words:
        while True:
            print("x" * 100_000)


if __name__ == "__main__":
    sys.exit(main())
