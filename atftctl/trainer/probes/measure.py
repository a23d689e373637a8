"""Probes: measurements made by the trainer's own code, in a process of their own and in a scratch folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from atftctl.hooks.reporter import rss_anon_mb
from atftctl.protocol import TrainerExit
from atftctl.trainer.config import settings
from atftctl.trainer.probes.bench import Bench
from atftctl.trainer.probes.flag_effects import effects
from atftctl.trainer.probes.grade import grade
from atftctl.trainer.probes.side_by_side import Request, measure_parts
from atftctl.trainer.runtime.memory import PeakMemory, has_memory_limit, tune_allocator
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training.exit_reasons import classify_exit


def run(kind: str, root: Path, configs: list[Path], baseline: list[Path], request: Request) -> dict[str, Any]:
    """Run the probe of this kind and return its measurements.

    `kind`: "verify" measures the parts of `request`, "memory" the peak of a few training steps, "run" those steps and
    how they ended, "effects" what each flag does. `baseline`: the baseline's config files, or none.
    """
    with tempfile.TemporaryDirectory(prefix="atftctl-probe-") as scratch:
        if kind == "effects":
            return {"effects": effects(settings.load(configs)[0], Path(scratch))}
        bench = Bench(root, Path(scratch), configs, baseline, request.steps, request.dates, request.checkpoint)
        if kind == "verify":
            return measure_parts(bench, request)
        return {"memory": memory, "run": short_run}[kind](bench)


def grade_checkpoint(root: Path, configs: list[Path], path: Path, request: Request, *, train: bool) -> dict[str, Any]:
    """Grade one checkpoint of the project (see `grade`); without `train` only load it."""
    with tempfile.TemporaryDirectory(prefix="atftctl-probe-") as scratch:
        return grade(Bench(root, Path(scratch), configs, steps=request.steps), path, train=train)


def memory(bench: Bench) -> dict[str, Any]:
    """Measure the peak of the anonymous memory in use and of VmData (which RLIMIT_DATA limits), in MB."""
    tune_allocator()  # as a trainer under a memory limit does
    with PeakMemory() as peak:
        trainer = bench.make(bench.configs, "memory")
        for number in range(bench.steps):
            trainer.next_step()
            if number == bench.steps // 2:  # memory that an evaluation keeps is still in use in the steps after it
                trainer.evaluate(trainer.settings.training.evaluate_dates)
    return {
        "rss_anon_mb": peak.rss_anon,
        "data_mb": peak.data,
        "steps": bench.steps,
        "chunks": trainer.parts.model.chunks,
    }


def short_run(bench: Bench) -> dict[str, Any]:
    """Train some steps from fresh weights, as a trainer does; return a row for each and how the run ended."""
    rows: list[dict[str, float]] = []
    code, reason = TrainerExit.FINISHED, ""
    if has_memory_limit():
        tune_allocator()
    trainer = None
    try:
        trainer = bench.make(bench.configs, "run")
        for _ in range(bench.steps):
            result = trainer.next_step()
            row = {"loss": result.loss, "loss_rel": result.relative, "grad_norm": result.grad_norm}
            rows.append({"step": trainer.progress.step, **row, "rss_mb": rss_anon_mb()})
    except Exception as error:  # noqa: BLE001 - each kind has its exit code
        code, reason = classify_exit(error, trainer.recorder if trainer else Recorder(bench.scratch, ()))
    return {"rows": rows, "exit_code": int(code), "reason": reason}
