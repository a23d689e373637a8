"""One optimiser step over the dates of a batch, taken by all processes together."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.data.dataset import Day
from atftctl.trainer.errors import Ended
from atftctl.trainer.runtime import card
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.runtime.memory import MemoryReserve, is_out_of_memory
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training.components import Parts
from atftctl.trainer.training.optimizer import learning_rate

Batch = Sequence[tuple[int, Day]]  # this process's dates, each with its position in the whole batch


@dataclass(frozen=True)
class StepResult:
    """What one step measured; the losses are means over the dates of the batch (see `loss.Losses`).

    `grad_norm` is the gradient's norm before clipping.
    """

    loss: float
    relative: float
    mse: float
    grad_norm: float
    seconds: float


class TrainStep:
    """Runs one step: forward, backward, update. What goes wrong ends the run with an exit code of its own."""

    def __init__(self, group: ProcessGroup, recorder: Recorder) -> None:
        self._group = group
        self._recorder = recorder
        self._reserve = MemoryReserve()

    def run(self, parts: Parts, batch: Batch, step: int) -> StepResult:
        """Run step number `step` on this process's part of the batch.

        After an out of memory the same step is run again in smaller pieces, if `auto_recover_oom` is on. Raises Ended.
        """
        begun = time.monotonic()
        batch = [(number, day.to(self._group.device)) for number, day in batch]
        while True:
            losses, failed = self._try_backward(parts, batch, step)
            if not self._group.any(bool(failed)):
                break
            self._out_of_memory(parts, failed or "in another process", step)
        loss, relative, mse = self._group.sum(losses).tolist()
        norm = self._update(parts, loss, step)
        return StepResult(loss, relative, mse, norm, time.monotonic() - begun)

    def _try_backward(self, parts: Parts, batch: Batch, step: int) -> tuple[torch.Tensor, str]:
        """Return (losses [3] of the batch, ""), or (zeros, the message) if memory ran out.

        The exception does not leave this function, because it holds references to the tensors of the step.
        """
        parts.optimizer.zero_grad(set_to_none=True)
        losses = torch.zeros(3, dtype=torch.float64, device=self._group.device)
        try:
            for number, day in batch:
                losses += self._backward(parts, day, (parts.settings.training.seed, step, number))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return torch.zeros_like(losses), " ".join(str(error).split())[:300] or type(error).__name__
        return losses, ""

    def _backward(self, parts: Parts, day: Day, seed: tuple[int, int, int]) -> torch.Tensor:
        """Add the gradients of one date, divided by the number of dates; return its losses [3], divided likewise.

        Random numbers depend on `seed` alone, which is (seed, step, position of the date). So a step repeats exactly
        when it is run again, after a resume, and in whichever process the date is.
        """
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
        share = 1.0 / parts.settings.training.dates_per_step
        parts.model.train()
        with torch.autocast(self._group.device.type, torch.float16, enabled=parts.scaler.is_enabled()):
            prediction = parts.model(day)
        losses = parts.loss_function(prediction.float(), day.y)
        parts.scaler.scale(losses.total * share).backward()
        return torch.tensor(
            [float(losses.total.detach()), losses.relative, losses.mse], dtype=torch.float64, device=day.y.device
        ).mul_(share)

    def _update(self, parts: Parts, loss: float, step: int) -> float:
        """Clip the gradients and update the weights; return the gradient norm before clipping.

        Raises Ended before the update if the loss or the norm is not finite.
        """
        parameters = list(parts.model.parameters())
        self._group.sum_gradients(parameters)
        parts.scaler.unscale_(parts.optimizer)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, parts.settings.optimizer.clip_grad_norm))
        if not math.isfinite(loss):
            self.anomaly("loss", loss)
        if not math.isfinite(norm) and not parts.scaler.is_enabled():  # an enabled scaler skips such a step
            self.anomaly("gradient norm", norm)
        for group in parts.optimizer.param_groups:
            group["lr"] = learning_rate(parts.settings, step)
        parts.scaler.step(parts.optimizer)
        parts.scaler.update()
        if parts.statistics is not None:
            parts.statistics.merge(self._group)
        if parts.ema is not None:
            parts.ema.update(parts.model)
        return norm

    def anomaly(self, quantity: str, value: float) -> NoReturn:
        """End the run because a quantity is not finite; the last good checkpoint is kept. Always raises Ended."""
        self._recorder.event(protocol.ANOMALY, quantity=quantity, value=value)
        self._recorder.log.error("Anomaly detected: %s is %s; the weights were not changed", quantity, value)
        raise Ended(TrainerExit.ANOMALY, f"{quantity} is {value}")

    def _out_of_memory(self, parts: Parts, message: str, step: int) -> None:
        """Recover by running the encoder in more pieces, or raise Ended.

        Called by all processes, and outside the `except`, so that the failed step's tensors can be freed.
        """
        self._reserve.release()
        parts.optimizer.zero_grad(set_to_none=True)
        if parts.statistics is not None:
            parts.statistics.discard()
        pieces = parts.recovery.recover() if parts.recovery else None
        self._recorder.event(
            protocol.OOM, message=message, section="step", recoverable=pieces is not None, **card.report()
        )
        if pieces is None:
            self._recorder.log.error("out of memory at step %d: %s", step, message)
            raise Ended(TrainerExit.OUT_OF_MEMORY, message)
        self._recorder.event(protocol.RECOVERED, encoder_chunks=pieces)
        self._recorder.log.warning("out of memory at step %d: trying again with the encoder in %d pieces", step, pieces)
