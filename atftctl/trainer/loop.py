"""The training loop: one day a step; stop, save and evaluate at step boundaries only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer import checkpoint
from atftctl.trainer.build import build
from atftctl.trainer.checkpoint import CheckpointError
from atftctl.trainer.data.dataset import Dataset, Day
from atftctl.trainer.evaluate import Evaluation, evaluate
from atftctl.trainer.memory import Ballast, is_out_of_memory
from atftctl.trainer.objective import Losses, Objective
from atftctl.trainer.optimise import learning_rate, make_optimizer, make_scaler
from atftctl.trainer.record import Recorder, rss_anon_mb
from atftctl.trainer.settings import Settings


class Ended(Exception):  # noqa: N818 - an end that was meant, not an error
    """The run is over; `reason` goes into the last event."""

    def __init__(self, code: TrainerExit, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Step:
    losses: Losses
    grad_norm: float
    seconds: float

    @property
    def loss(self) -> float:
        return float(self.losses.total.detach())


class Trainer:
    """Everything of one run. Made once; `run` goes on until it is finished, stopped or broken."""

    def __init__(
        self, settings: Settings, digest: str, root: Path, recorder: Recorder, *, cache: Path | None = None
    ) -> None:
        self.settings, self.digest, self.root, self.recorder = settings, digest, root, recorder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dataset = Dataset(settings.data, cache or root / "cache")
        self.built = build(settings, self.dataset, self.device)
        self.model = self.built.model
        self.objective = Objective(settings)
        self.optimizer = make_optimizer(settings, self.model)
        self.scaler = make_scaler(settings, self.device)
        self.step = 0
        self.best = -math.inf
        self._ballast = Ballast()
        self._recovery = self._make_recovery()
        self._wandb = self._make_wandb()
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self, resume: str, stopping: Callable[[], bool]) -> None:
        """Raises Ended when it is over."""
        resumed_from = self.resume(resume)
        self._started(resumed_from)
        first = True
        while self.step < self.settings.training.max_steps:
            day = self.day_at(self.step + 1)
            done = self.train_step(day)
            self.step += 1
            self.recorder.step = self.step
            if first:
                self.recorder.event(protocol.FIRST_STEP, digest=self.digest, loss=done.loss, step_s=done.seconds)
                self.recorder.log.info("first step: %d, loss %.4f, %.3f s", self.step, done.loss, done.seconds)
                first = False
            evaluation = self._evaluate_if_due()
            self._write_metrics(done, evaluation)
            if stopping():
                self.save(protocol.LAST, must=True)
                raise Ended(TrainerExit.STOPPED, "asked to stop")
            if self.step % self.settings.training.checkpoint_every == 0:
                self.save(protocol.LAST)
        self.save(protocol.LAST, must=True)
        raise Ended(TrainerExit.FINISHED, "all steps done")

    def train_step(self, day: Day) -> Step:
        """One optimiser step. After out of memory the very same step is taken again in smaller pieces, if that is
        on."""
        begun = time.monotonic()
        day = day.to(self.device)
        random, statistics = torch.get_rng_state(), _copy(self.model.normalise)
        while True:
            failed = ""
            try:
                losses = self._backward(day)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failed = " ".join(str(error).split())[:300] or type(error).__name__
            if not failed:
                break
            self._out_of_memory(failed)  # not in the except: the exception holds the step's tensors
            torch.set_rng_state(random)
            self.model.normalise.load_state_dict(statistics)
        norm = self._update(losses)
        return Step(losses, norm, time.monotonic() - begun)

    def _backward(self, day: Day) -> Losses:
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.float16, enabled=self.scaler.is_enabled()):
            prediction = self.model(day)
        losses = self.objective(prediction.float(), day.y)
        self.scaler.scale(losses.total).backward()
        return losses

    def _update(self, losses: Losses) -> float:
        """Clip and step; the gradient norm before clipping. Stops before the weights are spoiled."""
        self.scaler.unscale_(self.optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optimizer.clip_grad_norm))
        loss = float(losses.total.detach())
        for quantity, value in (("loss", loss), ("gradient norm", norm)):
            if not math.isfinite(value) and not (quantity != "loss" and self.scaler.is_enabled()):
                self.recorder.event(protocol.ANOMALY, quantity=quantity, value=value)
                self.recorder.log.error("Anomaly detected: %s is %s; the weights were not changed", quantity, value)
                raise Ended(TrainerExit.ANOMALY, f"{quantity} is {value}")
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step + 1)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.built.ema is not None:
            self.built.ema.update(self.model)
        return norm

    def day_at(self, step: int) -> Day:
        days = len(self.dataset.split.train)
        epoch, position = divmod(step - 1, days)
        if self._order[0] != epoch:
            self._order = (epoch, self.dataset.epoch(self.settings.training.seed, epoch))
        return self.dataset.day(int(self._order[1][position]))

    # -- out of memory ------------------------------------------------------------------------------------------

    def _make_recovery(self) -> Any:
        if not self.settings.improvements.auto_recover_oom:
            return None
        from atftctl.trainer.improvements.oom_recovery import Recovery

        return Recovery(self.model)

    def _out_of_memory(self, message: str) -> None:
        self._ballast.drop()
        self.optimizer.zero_grad(set_to_none=True)
        pieces = self._recovery.recover() if self._recovery else None
        self.recorder.event(protocol.OOM, message=message, section="step", recoverable=pieces is not None)
        if pieces is None:
            self.recorder.log.error("out of memory at step %d: %s", self.step + 1, message)
            raise Ended(TrainerExit.OUT_OF_MEMORY, message)
        self.recorder.event(protocol.RECOVERED, encoder_chunks=pieces)
        self.recorder.log.warning(
            "out of memory at step %d: going on with the encoder in %d pieces", self.step + 1, pieces
        )

    # -- evaluation, checkpoints --------------------------------------------------------------------------------

    def evaluation_days(self, most: int) -> list[int]:
        """Evenly spread over the validation split."""
        days = self.dataset.split.validation
        return [int(days[at]) for at in np.unique(np.linspace(0, len(days) - 1, min(most, len(days))).astype(int))]

    def evaluate(self, most: int) -> Evaluation:
        days = self.evaluation_days(most)
        return evaluate(self.built.judged, self.dataset, days, self.settings.data.horizons, self.objective, self.device)

    def _evaluate_if_due(self) -> Evaluation | None:
        if self.step % self.settings.training.evaluate_every:
            return None
        found = self.evaluate(self.settings.training.evaluate_dates)
        first = self.settings.data.horizons[0]
        value = found.mean(first)
        self.recorder.event(
            protocol.EVALUATED, dates=len(found.rankic[first]), weights=self.built.judged_name, val_loss=found.loss,
            **{f"rankic_h{horizon}": found.mean(horizon) for horizon in self.settings.data.horizons},
        )  # fmt: skip
        self.recorder.log.info("step %d: RankIC@%dd %.4f (%s weights)", self.step, first, value, self.built.judged_name)
        if value > self.best:
            self.best = value
            self.save(protocol.BEST)
        return found

    def save(self, name: str, *, must: bool = False) -> None:
        """A save that fails leaves the old checkpoint, and is told; training goes on unless this was the last word."""
        try:
            digest = checkpoint.save(self.root / name, self.payload())
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            self.recorder.warn(f"{name} could not be saved, the old one stands: {error}")
            if must:
                raise Ended(TrainerExit.SAVE_FAILED, str(error)) from None
            return
        self.recorder.event(protocol.CHECKPOINT, path=name, sha256=digest)

    def payload(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "best": self.best,
            "digest": self.digest,
            "chunks": self.model.chunks,
            "model": self.model.state_dict(),
            "ema": self.built.ema.state_dict() if self.built.ema is not None else None,
            "names": [name for name, _ in self.model.named_parameters()],
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": torch.get_rng_state(),
        }

    def resume(self, kind: str) -> str:
        """Which checkpoint was taken up: "last", "best" or "scratch". `last` that is damaged falls back to best."""
        wanted = {"last": ("last", "best"), "best": ("best",), "scratch": ()}[kind]
        for name in wanted:
            path = self.root / {"last": protocol.LAST, "best": protocol.BEST}[name]
            try:
                self.take_up(checkpoint.load(path))
            except FileNotFoundError:
                continue
            except CheckpointError as error:
                if name == wanted[-1]:
                    raise
                self.recorder.warn(f"{error}; the one before is taken")
                continue
            return name
        return "scratch"

    def take_up(self, saved: dict[str, Any]) -> None:
        """Go on exactly where this checkpoint was saved, converted to the flags of now. Raises CheckpointError."""
        state, notes = checkpoint.fit_state(saved["model"], self.model)
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise CheckpointError(
                f"the checkpoint does not fit this model: {lines[1].strip() if len(lines) > 1 else lines[0]}"
            ) from None
        self.step = self.recorder.step = int(saved["step"])
        self.best = float(saved["best"])
        if saved["names"] == [name for name, _ in self.model.named_parameters()]:
            self.optimizer.load_state_dict(saved["optimizer"])
        else:
            notes.append("optimiser moments start afresh")
        if self.scaler.is_enabled() and saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self._take_up_ema(saved, converted=bool(notes))
        if self._recovery is not None:
            self.model.chunks = max(self.model.chunks, int(saved["chunks"]))
        torch.set_rng_state(saved["rng"])
        for note in notes:
            self.recorder.log.info("converted: %s", note)

    def _take_up_ema(self, saved: dict[str, Any], *, converted: bool) -> None:
        """Averaged weights go on if there are any of this shape; else the average starts from the raw weights."""
        if self.built.ema is None:
            return
        if saved["ema"] is not None and not converted:
            self.built.ema.load_state_dict(saved["ema"])
        else:
            self.built.ema.model.load_state_dict(self.model.state_dict())

    # -- what is said -------------------------------------------------------------------------------------------

    def _started(self, resumed_from: str) -> None:
        self.recorder.event(
            protocol.STARTED, digest=self.digest, effective=self.settings.effective(), resumed_from=resumed_from,
            device=self.device.type, torch=torch.__version__, world_size=1,
        )  # fmt: skip
        self.recorder.log.info("started from %s at step %d, config %s", resumed_from, self.step, self.digest[:12])

    def _write_metrics(self, done: Step, evaluation: Evaluation | None) -> None:
        row: dict[str, Any] = {
            "step": self.step,
            "epoch": (self.step - 1) // len(self.dataset.split.train),
            "loss": done.loss,
            "loss_rel": done.losses.relative,
            "mse": done.losses.mse,
            "grad_norm": done.grad_norm,
            "lr": learning_rate(self.settings, self.step),
            "rss_mb": rss_anon_mb(),
            "step_s": done.seconds,
        }
        if evaluation:
            row["val_loss"] = evaluation.loss
            row |= {f"rankic_h{horizon}": evaluation.mean(horizon) for horizon in self.settings.data.horizons}
        self.recorder.metrics(row)
        if self._wandb is not None:
            self._wandb.log(row, self.step)

    def _make_wandb(self) -> Any:
        if not self.settings.improvements.enable_wandb:
            return None
        try:
            from atftctl.trainer.improvements.wandb_log import WandbLog

            return WandbLog(self.root, self.recorder.run_id, self.settings.effective())
        except Exception as error:  # noqa: BLE001 - a dashboard must not stop a training
            self.recorder.warn(f"no Weights & Biases: {error}")
            return None


def _copy(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: one.clone() for name, one in module.state_dict().items()}
