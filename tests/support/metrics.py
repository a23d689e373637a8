"""Metrics and events as a trainer writes them."""

from __future__ import annotations

import json
import math

from tests.support.projects import Project

FILE = "logs/metrics.csv"
COLUMNS = ("step", "epoch", "loss", "loss_rel", "mse", "val_loss", "rankic_h1", "grad_norm", "lr", "rss_mb", "step_s")
BEGUN = 1_764_500_000.0  # 2025-11-30 10:53:20 UTC


def row(step: int, generation: int | str = "", **other: object) -> str:
    values: dict[str, object] = {
        "epoch": 0, "loss": round(1 + 1 / step, 6), "loss_rel": round(1 + 1 / step, 6), "mse": 0.9, "grad_norm": 0.5,
        "lr": 0.001, "rss_mb": 250 + step % 7, "step_s": 0.5,
    }  # fmt: skip
    if step % 10 == 0:
        values |= {"val_loss": 1.01, "rankic_h1": round(0.03 + 0.01 * math.sin(step), 6)}
    values |= other
    return ",".join([str(step), *(str(values.get(name, "")) for name in COLUMNS[1:]), str(generation)])


def write(project: Project, *spans: tuple[int, int, int], extra: str = "") -> None:
    """Rows of (generation, first step, last step), with the header of the trainer."""
    rows = [row(step, generation) for generation, first, last in spans for step in range(first, last + 1)]
    project.write(FILE, "\n".join([",".join((*COLUMNS, "generation")), *rows]) + "\n" + extra)


def events(project: Project, *runs: tuple[int, int, int]) -> None:
    """Events of (generation, step that it resumed from, last step), one run an hour."""
    lines = []
    for number, (generation, begun, ended) in enumerate(runs):
        at = BEGUN + 3600 * number
        common = {"v": 1, "pid": 1, "run_id": f"r{generation}", "generation": generation}
        lines += [
            {**common, "event": "started", "t": at, "step": begun, "resumed_from": "last"},
            {**common, "event": "stopped", "t": at + 0.5 * (ended - begun), "step": ended, "exit_code": 10},
        ]
    project.write("logs/events.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
