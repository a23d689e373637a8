"""Probes: measurements made by the trainer's own code, in a process of their own and in a scratch folder.

Each probe fails by itself: `{"error": …}` takes the place of its measurements, and the other probes are still run.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.config import settings
from atftctl.trainer.model.atft import parameter_count
from atftctl.trainer.probes.answer import measure_or_error
from atftctl.trainer.probes.flag_effects import effects
from atftctl.trainer.probes.ratio import ratio_of_medians
from atftctl.trainer.runtime.memory import PeakMemory, has_memory_limit, tune_allocator
from atftctl.trainer.telemetry.recorder import Recorder, rss_anon_mb
from atftctl.trainer.training import checkpoint, evaluation
from atftctl.trainer.training.exit_reasons import classify_exit
from atftctl.trainer.training.train_state import load_state
from atftctl.trainer.training.trainer import Trainer

TRAINING_STEPS = 12  # enough to see the peak of memory and that the loss is finite
WARM_UP = 3  # steps that are not measured: thread pools, allocator, caches


def run(kind: str, root: Path, configs: list[Path], baseline: list[Path], steps: int) -> dict[str, Any]:
    """Run the probe of this kind and return its measurements.

    `kind`: "verify" measures everything that the checklist needs, "memory" the peak of a few training steps, "run"
    those steps and how they ended, "effects" what each flag does. `baseline`: the baseline's config files, or none.
    """
    with tempfile.TemporaryDirectory(prefix="atftctl-probe-") as scratch:
        if kind == "effects":
            return {"effects": effects(settings.load(configs)[0], Path(scratch))}
        probe = Probe(root, Path(scratch), configs, baseline, steps)
        return {"memory": probe.memory, "run": probe.short_run, "verify": probe.verify}[kind]()


class Probe:
    """Measures a project: its configs, its data, and the checkpoint that is in service."""

    def __init__(self, root: Path, scratch: Path, configs: list[Path], baseline: list[Path], steps: int) -> None:
        self.root, self.scratch = root, scratch
        self.configs, self.baseline = configs, baseline
        self.steps = steps
        self._trainer: Trainer | None = None

    def memory(self) -> dict[str, Any]:
        """Measure the peak of the anonymous memory in use and of VmData (which RLIMIT_DATA limits), in MB."""
        tune_allocator()  # as a trainer under a memory limit does
        with PeakMemory() as peak:
            trainer = self._make(self.configs, "memory")
            for number in range(self.steps):
                trainer.next_step()
                if number == self.steps // 2:  # memory that an evaluation keeps is still in use in the steps after it
                    trainer.evaluate(trainer.settings.training.evaluate_dates)
        return {
            "rss_anon_mb": peak.rss_anon,
            "data_mb": peak.data,
            "steps": self.steps,
            "chunks": trainer.parts.model.chunks,
        }

    def short_run(self) -> dict[str, Any]:
        """Train some steps from fresh weights, as a trainer does; return a row for each and how the run ended."""
        rows: list[dict[str, float]] = []
        code, reason = TrainerExit.FINISHED, ""
        if has_memory_limit():
            tune_allocator()
        trainer = None
        try:
            trainer = self._make(self.configs, "run")
            for _ in range(self.steps):
                result = trainer.next_step()
                row = {"loss": result.loss, "loss_rel": result.relative, "grad_norm": result.grad_norm}
                rows.append({"step": trainer.progress.step, **row, "rss_mb": rss_anon_mb()})
        except Exception as error:  # noqa: BLE001 - each kind has its exit code
            code, reason = classify_exit(error, trainer.recorder if trainer else Recorder(self.scratch, ()))
        return {"rows": rows, "exit_code": int(code), "reason": reason}

    def verify(self) -> dict[str, Any]:
        """Measure dataset, model, RankIC, training and cost; each entry is the measurements or an error."""
        answer: dict[str, Any] = {}
        with PeakMemory() as peak:
            answer["dataset"] = measure_or_error(self._dataset)
            answer["model"] = measure_or_error(self._model)
            answer["rankic"] = measure_or_error(self._rankic)
            answer["training"] = measure_or_error(self._training)
        answer["training"]["fresh"] = bool(answer["model"].get("error"))
        answer["cost"] = measure_or_error(lambda: self._cost(peak))
        return answer

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
        """Train a few steps from the checkpoint in service, or from fresh weights if it could not be loaded."""
        trainer = self._require_trainer()
        seconds = []
        for _ in range(WARM_UP + min(self.steps, TRAINING_STEPS)):
            result = trainer.next_step()
            seconds.append(result.seconds)
        return {
            "steps": len(seconds),
            "loss": result.loss,
            "loss_rel": result.relative,
            "grad_norm": result.grad_norm,
            "step_s": statistics.median(seconds[WARM_UP:]),
        }

    def _cost(self, peak: PeakMemory) -> dict[str, Any]:
        """Measure memory in MB and step times in seconds.

        The steps are taken in turns with those of the baseline's settings, so that a busy machine slows both.
        """
        trainer = self._require_trainer()
        cost: dict[str, Any] = {"memory_mb": peak.rss_anon, "data_mb": peak.data}
        if not self.baseline:
            cost["step_s"] = statistics.median(trainer.next_step().seconds for _ in range(max(self.steps // 2, 5)))
            return cost
        other = self._make(self.baseline, "baseline")
        mine: list[float] = []
        theirs: list[float] = []
        for at in range(WARM_UP + self.steps):
            turn = [(trainer, mine), (other, theirs)]
            for stepper, seconds in reversed(turn) if at % 2 else turn:  # neither profits from always being the second
                step = stepper.next_step()
                if at >= WARM_UP:
                    seconds.append(step.seconds)
        ratio, lower = ratio_of_medians(mine, theirs)
        return cost | {
            "step_s": statistics.median(mine),
            "baseline_step_s": statistics.median(theirs),
            "step_s_ratio": ratio,
            "step_s_ratio_lower": lower,
            "step_s_steps": len(mine),
        }

    def _model(self) -> dict[str, Any]:
        trainer = self._require_trainer()
        name = next((path for path in (protocol.BEST, protocol.LAST) if (self.root / path).exists()), None)
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
        """Measure RankIC by date of the model in service, over the whole validation split."""
        trainer = self._require_trainer()
        evaluated = trainer.evaluate(10**9)
        horizon = trainer.settings.data.horizons[0]
        identity = evaluation.evaluation_identity(trainer.dataset, trainer.settings.data.horizons)
        return {
            "horizon": horizon,
            "by_date": evaluated.rankic[horizon],
            "mean": evaluated.mean(horizon),
            "identity": identity,
            "weights": checkpoint.weights_digest(trainer.parts.eval_model),
            "weights_kind": trainer.parts.eval_weights,
            "predictions": evaluated.predictions,
            "spread": evaluated.spread,
        }

    def _require_trainer(self) -> Trainer:
        if self._trainer is None:
            raise RuntimeError("the dataset did not load")
        return self._trainer


def _resolved(loaded: settings.Settings, root: Path) -> settings.Settings:
    """Make the data path absolute (in the config it is relative to the project) and switch the dashboard off."""
    import dataclasses

    path = loaded.data.path
    return dataclasses.replace(
        loaded,
        data=dataclasses.replace(loaded.data, path=str(root / path) if path else None),
        improvements=dataclasses.replace(loaded.improvements, enable_wandb=False),
    )
