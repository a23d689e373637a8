"""The training loop: a batch of dates a step; stop, reload, save and evaluate at step boundaries only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.config.settings import Reread, Settings, check_even_shards
from atftctl.trainer.data.cache import sweep
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.errors import Ended
from atftctl.trainer.model import ridge
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.runtime.memory import tune_allocator_if_large
from atftctl.trainer.runtime.stop_requests import StopRequests
from atftctl.trainer.telemetry.dashboards import Dashboard, logged, open_dashboards
from atftctl.trainer.telemetry.heartbeat import Heartbeat
from atftctl.trainer.telemetry.progress_bar import ProgressBar
from atftctl.trainer.telemetry.recorder import Recorder, rss_anon_mb
from atftctl.trainer.training import live_reload, train_state
from atftctl.trainer.training.components import Parts, assemble
from atftctl.trainer.training.evaluation import Evaluation, evaluate
from atftctl.trainer.training.optimizer import learning_rate
from atftctl.trainer.training.step import Batch, StepResult, TrainStep


class Trainer:
    """Everything of one run. Made once; `run` goes on until it is finished, stopped or broken."""

    def __init__(
        self,
        settings: Settings,
        digest: str,
        root: Path,
        recorder: Recorder,
        *,
        cache: Path | None = None,
        group: ProcessGroup | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.root, self.recorder = root, recorder
        self.cache = cache or root / "cache"
        self.group = group or ProcessGroup()
        self.heartbeat = heartbeat or Heartbeat(root, recorder)
        check_even_shards(settings, self.group.size)
        self.dataset = self.group.main_first(lambda: Dataset(settings.data, self.cache))
        tune_allocator_if_large(self.dataset.most_stocks())
        begun = time.monotonic()
        self.parts: Parts = assemble(settings, digest, self.dataset, self.group.device)
        self.seconds: dict[str, float] = {**self.dataset.seconds, "model": time.monotonic() - begun}
        self.progress = train_state.Progress()
        self.train_step = TrainStep(self.group, recorder)
        self._dashboards: list[Dashboard] = []
        self._order: tuple[tuple[int, int], np.ndarray] | None = None  # (seed, epoch) and its days

    @property
    def settings(self) -> Settings:
        return self.parts.settings

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self, resume: str, requests: StopRequests, reread: Reread) -> None:
        """Raises Ended when it is over."""
        self._open_dashboards()
        self.resume(resume)
        with ProgressBar(self.settings.training.max_steps, shown=self.group.is_main) as bar:
            first = True
            while self.progress.step < self.settings.training.max_steps:
                done = self.next_step()
                if first:
                    self._first_step(done)
                    first = False
                self.heartbeat.beat(done.seconds)
                evaluation = self._evaluate_if_due()
                self._say(done, evaluation, bar)
                self._at_boundary(requests, reread)
            self.save(protocol.LAST, must=True)
        raise Ended(TrainerExit.FINISHED, "all steps done")

    def next_step(self) -> StepResult:
        """The step that comes next, counted when it is done."""
        number = self.progress.step + 1
        done = self.train_step.run(self.parts, self.batch(number), number)
        self.progress.step = self.recorder.step = number
        return done

    def batch(self, step: int) -> Batch:
        """Our dates of this step: from shuffled epochs, one after the other."""
        count = self.settings.training.dates_per_step
        return [(at, self.dataset.day(self._date((step - 1) * count + at))) for at in self.group.shard(count)]

    def epoch(self) -> int:
        done = (self.progress.step - 1) * self.settings.training.dates_per_step
        return done // len(self.dataset.split.train)

    def _date(self, position: int) -> int:
        epoch, at = divmod(position, len(self.dataset.split.train))
        key = (self.settings.training.seed, epoch)
        if self._order is None or self._order[0] != key:
            self._order = (key, self.dataset.epoch(*key))
        return int(self._order[1][at])

    def _at_boundary(self, requests: StopRequests, reread: Reread) -> None:
        asked = requests.take_request() if self.group.is_main else {}
        wanted = asked.get("want") == protocol.WANT_RELOAD
        stopping, reloading = self.group.any_of(requests.stop_requested(), wanted)
        if stopping:
            self.save(protocol.LAST, must=True)
            raise Ended(TrainerExit.STOPPED, "asked to stop")
        if reloading:
            with self.heartbeat.section("reload"):
                live_reload.reload(self, asked, reread)
        elif self.progress.step % self.settings.training.checkpoint_every == 0:
            self.save(protocol.LAST)

    def swap_in(self, dataset: Dataset, parts: Parts, progress: train_state.Progress) -> None:
        """Go on with these instead: nothing of the old ones is kept."""
        self.dataset, self.parts, self.progress = dataset, parts, progress
        self._order = None
        self.recorder.step = progress.step
        torch.set_num_threads(self.settings.training.threads)
        self._open_dashboards()

    def _open_dashboards(self) -> None:
        for dashboard in self._dashboards:
            dashboard.close()
        self._dashboards = open_dashboards(self.settings, self.root, self.recorder)

    # -- evaluation, checkpoints --------------------------------------------------------------------------------

    def evaluation_days(self, most: int) -> list[int]:
        """Evenly spread over the validation split."""
        days = self.dataset.split.validation
        return [int(days[at]) for at in np.unique(np.linspace(0, len(days) - 1, min(most, len(days))).astype(int))]

    def evaluate(self, most: int) -> Evaluation:
        days = self.evaluation_days(most)
        return evaluate(
            self.parts.eval_model, self.dataset, days, self.settings.data.horizons, self.parts.loss_function, self.group
        )

    def _evaluate_if_due(self) -> Evaluation | None:
        if self.progress.step % self.settings.training.evaluate_every:
            return None
        with self.heartbeat.section("evaluate"):
            found = self.evaluate(self.settings.training.evaluate_dates)
        if not found.finite:
            self.train_step.anomaly("prediction", float("nan"))
        first = self.settings.data.horizons[0]
        value = found.mean(first)
        name = self.parts.eval_weights
        self.recorder.event(
            protocol.EVALUATED, dates=len(found.rankic[first]), weights=name, val_loss=found.loss,
            **{f"rankic_h{horizon}": found.mean(horizon) for horizon in self.settings.data.horizons},
        )  # fmt: skip
        self.recorder.log.info("step %d: RankIC@%dd %.4f (%s weights)", self.progress.step, first, value, name)
        if value > self.progress.best:
            self.progress.best = value
            self.save(protocol.BEST)
        return found

    def save(self, name: str, *, must: bool = False) -> bool:
        with self.heartbeat.section("save"):
            return train_state.save(self.root, name, self.parts, self.progress, self.recorder, must=must)

    def resume(self, kind: str) -> str:
        """Go on from a checkpoint, and say so: the first event, with the settings in effect."""
        if self.group.is_main:
            sweep((self.root / protocol.LAST).parent)
        found, self.progress = train_state.resume(self.root, kind, self.parts, self.recorder)
        if found == "scratch":
            begun = time.monotonic()
            ridge.start_linear_path(self.parts, self.dataset)
            self.seconds["linear start"] = time.monotonic() - begun
        self.recorder.step = self.progress.step
        self.recorder.event(
            protocol.STARTED, digest=self.parts.digest, effective=self.settings.effective(), resumed_from=found,
            device=self.group.device.type, torch=torch.__version__, world_size=self.group.size, seconds=self.seconds,
        )  # fmt: skip
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        self.recorder.log.info("ready: %s", parts)
        self.recorder.log.info(
            "started from %s at step %d, config %s", found, self.progress.step, self.parts.digest[:12]
        )
        for note in self.dataset.panel.notes:
            self.recorder.log.info("data: %s", note)
        for warning in self.dataset.panel.warnings:
            self.recorder.warn(f"data: {warning}")
        return found

    # -- what is said -------------------------------------------------------------------------------------------

    def _first_step(self, done: StepResult) -> None:
        step = self.progress.step
        self.recorder.event(protocol.FIRST_STEP, digest=self.parts.digest, loss=done.loss, step_s=done.seconds)
        self.recorder.log.info("first step: %d, loss %.4f, %.3f s", step, done.loss, done.seconds)

    def _say(self, done: StepResult, evaluation: Evaluation | None, bar: ProgressBar) -> None:
        step = self.progress.step
        row: dict[str, Any] = {
            "step": step,
            "epoch": self.epoch(),
            "loss": done.loss,
            "loss_rel": done.relative,
            "mse": done.mse,
            "grad_norm": done.grad_norm,
            "lr": learning_rate(self.settings, step),
            "rss_mb": rss_anon_mb(),
            "step_s": done.seconds,
        }
        if evaluation:
            row["val_loss"] = evaluation.loss
            row |= {f"rankic_h{horizon}": evaluation.mean(horizon) for horizon in self.settings.data.horizons}
        self.recorder.metrics(row)
        self._dashboards = [one for one in self._dashboards if logged(one, row, step, self.recorder)]
        best = f"  best RankIC {self.progress.best:.4f}" if self.progress.best > float("-inf") else ""
        bar.show(step, self.settings.training.max_steps, f"loss {done.loss:.4f}{best}  {done.seconds * 1000:.0f} ms")
        if step % self.settings.training.log_every == 0:
            self.recorder.log.info(
                "step %d, epoch %d: loss %.4f (%.4f of predicting nothing), gradient norm %.2f, %.0f MB, %.0f ms",
                step, row["epoch"], done.loss, done.relative, done.grad_norm, row["rss_mb"], done.seconds * 1000,
            )  # fmt: skip
