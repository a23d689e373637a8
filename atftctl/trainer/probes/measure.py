"""Probes: measurements made by the trainer's own code, in a process of their own, in a scratch folder.

Each probe is caught by itself: one that fails leaves `{"error": …}` in its place, and the others are still made.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.config import settings
from atftctl.trainer.model.atft import parameter_count
from atftctl.trainer.probes.answer import caught
from atftctl.trainer.probes.flag_effects import effects
from atftctl.trainer.runtime.memory import PeakMemory, has_memory_limit, tune_allocator
from atftctl.trainer.telemetry.recorder import Recorder, rss_anon_mb
from atftctl.trainer.training import checkpoint, evaluation
from atftctl.trainer.training.exit_reasons import classify_exit
from atftctl.trainer.training.train_state import load_state
from atftctl.trainer.training.trainer import Trainer

TRAINING_STEPS = 12  # enough to see the peak of memory and that the loss is finite
WARM_UP = 3  # steps that are not measured: thread pools, allocator, caches


def run(kind: str, root: Path, configs: list[Path], baseline: list[Path], steps: int) -> dict[str, Any]:
    """`kind` verify: everything the checklist asks for; memory: the peak of a few training steps; run: those
    steps, and how they ended; effects: what each flag does."""
    with tempfile.TemporaryDirectory(prefix="atftctl-probe-") as scratch:
        if kind == "effects":
            return {"effects": effects(settings.load(configs)[0], Path(scratch))}
        probe = Probe(root, Path(scratch), configs, baseline, steps)
        return {"memory": probe.memory, "run": probe.short_run, "verify": probe.verify}[kind]()


class Probe:
    def __init__(self, root: Path, scratch: Path, configs: list[Path], baseline: list[Path], steps: int) -> None:
        self.root, self.scratch, self.configs, self.baseline, self.steps = (
            root,
            scratch,
            configs,
            baseline,
            steps,
        )
        self._trainer: Trainer | None = None

    def memory(self) -> dict[str, Any]:
        """Peak of the anonymous memory in use, and of VmData, which is what RLIMIT_DATA limits. MB."""
        tune_allocator()  # as a trainer under a limit
        with PeakMemory() as peak:
            trainer = self._make(self.configs, "memory")
            for number in range(self.steps):
                trainer.next_step()
                if number == self.steps // 2:  # what evaluation keeps is held in every step after it
                    trainer.evaluate(trainer.settings.training.evaluate_dates)
        return {
            "rss_anon_mb": peak.rss_anon,
            "data_mb": peak.data,
            "steps": self.steps,
            "chunks": trainer.parts.model.chunks,
        }

    def short_run(self) -> dict[str, Any]:
        """Steps from fresh weights, as a trainer takes them, and how it ended."""
        rows: list[dict[str, float]] = []
        code, reason = TrainerExit.FINISHED, ""
        if has_memory_limit():
            tune_allocator()
        trainer = None
        try:
            trainer = self._make(self.configs, "run")
            for _ in range(self.steps):
                done = trainer.next_step()
                row = {"loss": done.loss, "loss_rel": done.relative, "grad_norm": done.grad_norm}
                rows.append({"step": trainer.progress.step, **row, "rss_mb": rss_anon_mb()})
        except Exception as error:  # noqa: BLE001 - each kind has its exit code
            code, reason = classify_exit(error, trainer.recorder if trainer else Recorder(self.scratch, ()))
        return {"rows": rows, "exit_code": int(code), "reason": reason}

    def verify(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with PeakMemory() as peak:
            found["dataset"] = caught(self._dataset)
            found["model"] = caught(self._model)
            found["rankic"] = caught(self._rankic)
            found["training"] = caught(self._training)
        found["training"]["fresh"] = bool(found["model"].get("error"))
        found["cost"] = caught(lambda: self._cost(peak))
        return found

    def _make(self, configs: list[Path], name: str) -> Trainer:
        loaded, digest = settings.load(configs)
        torch.set_num_threads(loaded.training.threads)
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        recorder = Recorder(folder, loaded.data.horizons)
        cache = self.root / "cache"
        return Trainer(
            _resolved(loaded, self.root),
            digest,
            folder,
            recorder,
            cache=cache if cache.is_dir() else self.scratch / "cache",
        )

    def _dataset(self) -> dict[str, Any]:
        self._trainer = self._make(self.configs, "now")
        data = self._trainer.dataset
        return {
            "samples": data.samples(),
            "days": len(data.panel.dates),
            "stocks": len(data.panel.tickers),
            "digest": data.panel.digest,
        }

    def _training(self) -> dict[str, Any]:
        """A few real steps from where the checkpoint in service stands; from fresh weights where it can't be loaded."""
        trainer = self._need()
        seconds = []
        for _ in range(WARM_UP + min(self.steps, TRAINING_STEPS)):
            done = trainer.next_step()
            seconds.append(done.seconds)
        return {
            "steps": len(seconds),
            "loss": done.loss,
            "loss_rel": done.relative,
            "grad_norm": done.grad_norm,
            "step_s": statistics.median(seconds[WARM_UP:]),
        }

    def _cost(self, peak: PeakMemory) -> dict[str, Any]:
        """Memory, and step time taken in turns with the baseline's settings, so that a busy machine slows both."""
        trainer = self._need()
        cost: dict[str, Any] = {"memory_mb": peak.rss_anon, "data_mb": peak.data}
        if not self.baseline:
            cost["step_s"] = statistics.median(trainer.next_step().seconds for _ in range(max(self.steps // 2, 5)))
            return cost
        other = self._make(self.baseline, "baseline")
        mine, theirs = [], []
        for at in range(WARM_UP + self.steps):
            pair = (trainer.next_step().seconds, other.next_step().seconds)
            if at >= WARM_UP:
                mine.append(pair[0])
                theirs.append(pair[1])
        ratio, lower = ratio_of_medians(mine, theirs)
        return cost | {
            "step_s": statistics.median(mine),
            "baseline_step_s": statistics.median(theirs),
            "step_s_ratio": ratio,
            "step_s_ratio_lower": lower,
        }

    def _model(self) -> dict[str, Any]:
        trainer = self._need()
        name = next((one for one in (protocol.BEST, protocol.LAST) if (self.root / one).exists()), None)
        if name is None:
            raise FileNotFoundError(f"no checkpoint: neither {protocol.BEST} nor {protocol.LAST}")
        saved = checkpoint.load(self.root / name)
        trainer.progress = load_state(saved, trainer.parts, trainer.recorder)
        for key, tensor in trainer.parts.model.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name}: {key} is not finite")
        with (self.root / name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "path": name,
            "parameters": parameter_count(trainer.parts.model),
            "step": trainer.progress.step,
            "sha256": sha256,
        }

    def _rankic(self) -> dict[str, Any]:
        """RankIC by date of the model in service, over the whole validation split."""
        trainer = self._need()
        found = trainer.evaluate(10**9)
        horizon = trainer.settings.data.horizons[0]
        identity = evaluation.evaluation_identity(trainer.dataset, trainer.settings.data.horizons)
        return {
            "horizon": horizon,
            "by_date": found.rankic[horizon],
            "mean": found.mean(horizon),
            "identity": identity,
            "weights": checkpoint.weights_digest(trainer.parts.eval_model),
            "weights_kind": trainer.parts.eval_weights,
            "predictions": found.predictions,
            "spread": found.spread,
        }

    def _need(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError("the dataset did not load")
        return self._trainer


def ratio_of_medians(mine: list[float], theirs: list[float]) -> tuple[float, float]:
    """The ratio, and the lower end of its one-sided 95 % bootstrap interval (1,000 paired draws, seeded)."""
    left, right = np.array(mine), np.array(theirs)
    drawn = np.random.default_rng(0).integers(0, len(left), (1_000, len(left)))
    ratios = np.median(left[drawn], axis=1) / np.median(right[drawn], axis=1)
    return float(np.median(left) / np.median(right)), float(np.quantile(ratios, 0.05))


def _resolved(loaded: settings.Settings, root: Path) -> settings.Settings:
    """Paths of the config are relative to the project; nothing is logged to a dashboard from a probe."""
    import dataclasses

    path = loaded.data.path
    return dataclasses.replace(
        loaded,
        data=dataclasses.replace(loaded.data, path=str(root / path) if path else None),
        improvements=dataclasses.replace(loaded.improvements, enable_wandb=False),
    )
