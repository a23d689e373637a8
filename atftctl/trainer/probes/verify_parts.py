"""The parts of `probe verify`: what each one measures of the project and of the checkpoint that is in service."""

from __future__ import annotations

import hashlib
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from atftctl import protocol
from atftctl.trainer.errors import ProbeError
from atftctl.trainer.model.atft import parameter_count
from atftctl.trainer.probes.bench import Bench
from atftctl.trainer.probes.ratio import ratio_of_medians
from atftctl.trainer.runtime import card
from atftctl.trainer.runtime.memory import PeakMemory
from atftctl.trainer.training import checkpoint, evaluation
from atftctl.trainer.training.train_state import load_state
from atftctl.trainer.training.trainer import Trainer

TRAINING_STEPS = 12  # enough to see the peak of memory and that the loss is finite
WARM_UP = 3  # steps that are not measured: thread pools, allocator, caches
EVALUATED = 20  # dates, for the memory that an evaluation takes
LOADS = 3  # attempts to read a checkpoint that a running trainer replaces meanwhile
COST_VERSION = 2  # of the measurement of memory and step time; values of different versions are not compared


class Parts:
    """Measures one part after the other in one process; a later part uses what an earlier one has loaded."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._trainer: Trainer | None = None
        self._loaded = False

    def measure(self, part: str) -> dict[str, Any]:
        """Measure the part of this name. Raises what measuring raises."""
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "dataset": self._dataset,
            "model": self._model,
            "quality": self._quality,
            "training": self._training,
            "steps": self._steps,
        }
        return parts[part]()

    def _dataset(self) -> dict[str, Any]:
        self._trainer = self.bench.make(self.bench.configs, "now")
        data = self._trainer.dataset
        return {
            "samples": data.samples(),
            "facts": {"stocks": len(data.panel.tickers), "days": len(data.panel.dates)},
            "digest": data.panel.digest,
        }

    def _model(self) -> dict[str, Any]:
        if self._trainer is None:
            raise ProbeError("the dataset did not load")
        name, sha256 = load_checkpoint(self._trainer, self.bench)
        self._loaded = True
        return {
            "path": name,
            "parameters": parameter_count(self._trainer.parts.model),
            "step": self._trainer.progress.step,
            "sha256": sha256,
            "crc": True,  # `load_checkpoint` refuses other ones
            "finite": True,
        }

    def _quality(self) -> dict[str, Any]:
        """Measure RankIC by date of the model in service, over the validation split."""
        trainer = self._trainer
        if trainer is None or not self._loaded:
            raise ProbeError("the model did not load" if trainer else "the dataset did not load")
        limit = self.bench.dates or len(trainer.dataset.split.validation)
        evaluated = trainer.evaluate(limit)
        dates = [trainer.dataset.panel.dates[day] for day in trainer.evaluation_days(limit)]
        horizon = trainer.settings.data.horizons[0]
        return {
            "evaluated": dates if len(dates) < len(trainer.dataset.split.validation) else [],
            "horizon": horizon,
            "by_date": evaluated.rankic[horizon],
            "mean": evaluated.mean(horizon),
            "identity": evaluation.evaluation_identity(trainer.dataset, trainer.settings.data.horizons),
            "facts": {"stocks": len(trainer.dataset.panel.tickers)},
            "weights": checkpoint.weights_digest(trainer.parts.eval_model),
            "weights_kind": trainer.parts.eval_weights,
            "predictions": evaluated.predictions,
            "spread": evaluated.spread,
        }

    def _training(self) -> dict[str, Any]:
        """Train a few steps from the checkpoint in service, or from fresh weights if it could not be loaded.

        Memory is the peak of this process, which does what a trainer does: load, train, evaluate, train. In MB.
        """
        with PeakMemory() as peak:
            trainer = self.bench.make(self.bench.configs, "training")
            card.reset_peak(trainer.group.device)
            fresh = not try_load(trainer, self.bench)
            steps = WARM_UP + min(self.bench.steps, TRAINING_STEPS)
            for number in range(steps):
                result = trainer.next_step()
                if number == steps // 2:
                    trainer.evaluate(EVALUATED)
        return {
            "steps": steps,
            "loss": result.loss,
            "loss_rel": result.relative,
            "grad_norm": result.grad_norm,
            "fresh": fresh,
            "memory_mb": peak.rss_anon,
            "data_mb": peak.data,
            **card.peak(trainer.group.device),
            "version": COST_VERSION,
        }

    def _steps(self) -> dict[str, Any]:
        """Measure the time of a training step in seconds.

        The steps are taken in turns with those of the baseline's settings, so that a busy machine slows both.
        """
        trainer = self.bench.make(self.bench.configs, "steps")
        try_load(trainer, self.bench)
        count = WARM_UP + self.bench.steps
        if not self.bench.baseline:
            seconds = [trainer.next_step().seconds for _ in range(max(count // 2, WARM_UP + 5))]
            return {"step_s": statistics.median(seconds[WARM_UP:]), "version": COST_VERSION}
        try:
            other = self._baseline_trainer()
        except Exception as error:  # noqa: BLE001 - old settings, that this code may not know any more
            seconds = [trainer.next_step().seconds for _ in range(WARM_UP + 5)][WARM_UP:]
            return {"step_s": statistics.median(seconds), "baseline_error": str(error), "version": COST_VERSION}
        mine, theirs = list[float](), list[float]()
        for at in range(count):
            turn = [(trainer, mine), (other, theirs)]
            for stepper, seconds in reversed(turn) if at % 2 else turn:  # neither profits from always being the second
                step = stepper.next_step()
                if at >= WARM_UP:
                    seconds.append(step.seconds)
        ratio, lower = ratio_of_medians(mine, theirs)
        return {
            "step_s": statistics.median(mine),
            "baseline_step_s": statistics.median(theirs),
            "step_s_ratio": ratio,
            "step_s_ratio_lower": lower,
            "step_s_steps": len(mine),
            "version": COST_VERSION,
        }

    def _baseline_trainer(self) -> Trainer:
        """Return a trainer with the baseline's settings. Raises SettingsError and DataError."""
        os.environ.pop(protocol.DRILL, None)  # the leak of a drill is a fault of the service, not of the baseline
        return self.bench.make(self.bench.baseline, "baseline")


def load_checkpoint(trainer: Trainer, bench: Bench) -> tuple[str, str]:
    """Load the checkpoint in service, or the last one; return its path in the project, and the SHA-256 of the file that
    was loaded.

    Raises CheckpointError, and ProbeError where there is none or its weights are not finite.
    """
    root, names = bench.root, [protocol.BEST, protocol.LAST]
    if bench.checkpoint != "best":
        names = names[::-1] if bench.checkpoint == "last" else [bench.checkpoint]
    name = next((path for path in names if (root / path).exists()), None)
    if name is None:
        raise ProbeError(f"no checkpoint: there is no {' and no '.join(names)}")
    for _ in range(LOADS):
        before = sha256_of(root / name)
        saved = checkpoint.load(root / name)
        if before == sha256_of(root / name):
            break
    else:
        raise ProbeError(f"{name} was replaced each time while it was read")
    trainer.progress = load_state(saved, trainer.parts, trainer.recorder)
    for key, tensor in trainer.parts.model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ProbeError(f"{name}: {key} is not finite")
    return name, before


def try_load(trainer: Trainer, bench: Bench) -> bool:
    """Load the checkpoint in service if that is possible; return whether it was. The part `model` says why not."""
    try:
        load_checkpoint(trainer, bench)
    except Exception as error:  # noqa: BLE001 - many kinds; training can start from fresh weights, too
        trainer.recorder.log.warning("training starts from fresh weights: %s", error)
        return False
    return True


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
