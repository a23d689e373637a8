"""The training loop: a batch of dates a step; stop, reload, save and evaluate at step boundaries only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.config.settings import ReadConfig, Settings, check_even_shards
from atftctl.trainer.data.cache import sweep
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.errors import Ended, FencedError
from atftctl.trainer.model import ridge
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.runtime.memory import tune_allocator_if_large
from atftctl.trainer.runtime.stop_requests import StopRequests
from atftctl.trainer.telemetry.dashboards import Dashboard, log_to, open_dashboards
from atftctl.trainer.telemetry.heartbeat import Heartbeat
from atftctl.trainer.telemetry.progress_bar import ProgressBar
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training import live_reload, train_state
from atftctl.trainer.training.components import Parts, assemble
from atftctl.trainer.training.evaluation import Evaluation, evaluate
from atftctl.trainer.training.history import History
from atftctl.trainer.training.live_reload import NewSettings, Prepared, ReloadRefused, RunningTraining
from atftctl.trainer.training.loss import definitions
from atftctl.trainer.training.metrics import metrics_row
from atftctl.trainer.training.reports import report_start
from atftctl.trainer.training.step import Batch, StepResult, TrainStep


class Trainer:
    """Everything of one run: data, model, progress. `run` trains until the run is finished, stopped or broken."""

    def __init__(
        self,
        settings: Settings,
        digest: str,
        root: Path,
        recorder: Recorder,
        *,
        cache: Path | None = None,
        prepared: Path | None = None,
        group: ProcessGroup | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        """Prepare the dataset and build the model.

        `digest` is that of the config; `root` is the run folder; `cache` is `root/cache` by default; `prepared` is
        another run's cache, which is only read. Raises SettingsError and DataError.
        """
        self.root, self.recorder = root, recorder
        self.cache = cache or root / "cache"
        self.generation = Generation(root)
        self.history = History(root, self.generation, recorder)
        self.group = group or ProcessGroup()
        self.heartbeat = heartbeat or Heartbeat(root, recorder)
        check_even_shards(settings, self.group.size)
        self.dataset = self.group.main_first(lambda: Dataset(settings.data, self.cache, prepared))
        tune_allocator_if_large(self.dataset.most_stocks())
        begun = time.monotonic()
        self.parts: Parts = assemble(settings, digest, self.dataset, self.group.device)
        self.seconds: dict[str, float] = {**self.dataset.seconds, "model": time.monotonic() - begun}
        self.progress = train_state.Progress()
        self.train_step = TrainStep(self.group, recorder)
        self._dashboards: list[Dashboard] = []
        self._order: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None  # (seed, epoch) and its days

    @property
    def settings(self) -> Settings:
        """The settings that are in effect now; a reload changes them."""
        return self.parts.settings

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self, resume: str, requests: StopRequests, read_config: ReadConfig) -> None:
        """Train until the last step. `resume` names the checkpoint to start from: "last", "best" or "scratch".

        Always raises: Ended when the run is finished or was asked to stop, FencedError when a newer trainer was
        started, or the error that broke it.
        """
        self._raise_together(self.generation.problem())
        self._open_dashboards()
        self.resume(resume)
        with ProgressBar(self.settings.training.max_steps, shown=self.group.is_main) as bar:
            first = True
            while self.progress.step < self.settings.training.max_steps:
                result = self.next_step()
                if first:
                    self._report_first_step(result)
                    first = False
                self.heartbeat.beat(result.seconds)
                evaluation = self._evaluate_if_due()
                self._report_step(result, evaluation, bar)
                self._handle_boundary(requests, read_config)
            self.save(protocol.LAST, must=True)
        raise Ended(TrainerExit.FINISHED, "all steps done")

    def next_step(self) -> StepResult:
        """Train the next step; it counts as done when it returns. Raises Ended."""
        number = self.progress.step + 1
        result = self.train_step.run(self.parts, self.batch(number), number)
        self.progress.step = self.recorder.step = number
        return result

    def batch(self, step: int) -> Batch:
        """Return this process's dates of a step (counted from 1), drawn from shuffled epochs, one after the other."""
        count = self.settings.training.dates_per_step
        return [(at, self.dataset.day(self.day_at((step - 1) * count + at))) for at in self.group.shard(count)]

    def epoch(self) -> int:
        """Return the number of whole passes over the training days before the current step."""
        done = (self.progress.step - 1) * self.settings.training.dates_per_step
        return done // len(self.dataset.split.train)

    def day_at(self, position: int) -> int:
        """Return the number of the training day at this position of the epochs, the first one being 0."""
        epoch, at = divmod(position, len(self.dataset.split.train))
        key = (self.settings.training.seed, epoch)
        if self._order is None or self._order[0] != key:
            self._order = (key, self.dataset.epoch(*key))
        return int(self._order[1][at])

    def _handle_boundary(self, requests: StopRequests, read_config: ReadConfig) -> None:
        fenced = self.generation.problem() if self.group.is_main else None
        request = requests.take_request() if self.group.is_main and not fenced else {}
        reload_wanted = request.get("want") == protocol.WANT_RELOAD
        leaving, stopping, reloading = self.group.any_of(bool(fenced), requests.stop_requested(), reload_wanted)
        if leaving:
            raise fenced or FencedError()
        if stopping:
            self.save(protocol.LAST, must=True)
            raise Ended(TrainerExit.STOPPED, "asked to stop")
        if reloading:
            with self.heartbeat.section("reload"):
                self.reload(request, read_config)
        elif self.progress.step % self.settings.training.checkpoint_every == 0:
            self.save(protocol.LAST)

    # -- live settings ------------------------------------------------------------------------------------------

    def reload(self, request: dict[str, Any], read_config: ReadConfig) -> None:
        """Read the config again and go on with it, or refuse it and go on with the old one; write the event of either.

        Called by all processes at the same step boundary; the main process reads the config for all of them.
        """
        new = self.group.broadcast(live_reload.read_settings(request, read_config) if self.group.is_main else None)
        outcome = new if isinstance(new, ReloadRefused) else self._prepare_reload(new)
        request_id = request.get("id", "")
        if isinstance(outcome, ReloadRefused):
            self.recorder.event(protocol.RELOAD_REFUSED, request=request_id, message=outcome.reason)
            self.recorder.log.error("the new settings are refused, training goes on with the old: %s", outcome.reason)
            return
        self._swap_in(outcome)
        self.recorder.event(
            protocol.RELOADED,
            request=request_id,
            digest=self.parts.digest,
            effective=self.settings.effective(),
            measured_on={**self.parts.evaluation_identity, "losses": definitions(self.settings)},
            resumed_from=outcome.source,
        )
        self.recorder.log.info("reloaded the settings, from %s, config %s", outcome.source, self.parts.digest[:12])

    def _prepare_reload(self, new: NewSettings) -> Prepared | ReloadRefused:
        """Save first: `prepare` loads that checkpoint. No process loads it before the main process has written it."""
        unsaved = self.group.any(not self.save(protocol.LAST))
        if unsaved and new.resume == "last":
            return ReloadRefused(f"{protocol.LAST} could not be saved, and an older checkpoint would lose steps")
        running = RunningTraining(
            self.settings, self.dataset, self.root, self.cache, self.group, self.recorder, self.generation
        )
        return live_reload.prepare(new, running)

    def _swap_in(self, prepared: Prepared) -> None:
        """Go on with the prepared data, model and progress; nothing of the old ones is kept."""
        self.dataset, self.parts, self.progress = prepared.dataset, prepared.parts, prepared.progress
        self.history.origin = min(self.history.origin, self.progress.step)
        self._order = None
        self.recorder.step = self.progress.step
        torch.set_num_threads(self.settings.training.threads)
        self._open_dashboards()

    def _open_dashboards(self) -> None:
        for dashboard in self._dashboards:
            dashboard.close()
        self._dashboards = open_dashboards(self.settings, self.root, self.recorder)

    # -- evaluation, checkpoints --------------------------------------------------------------------------------

    def evaluation_days(self, limit: int) -> list[int]:
        """Return at most `limit` day numbers, evenly spread over the validation split."""
        days = self.dataset.split.validation
        return [int(days[at]) for at in np.unique(np.linspace(0, len(days) - 1, min(limit, len(days))).astype(int))]

    def evaluate(self, limit: int) -> Evaluation:
        """Evaluate on at most `limit` validation days, shared by all processes."""
        days = self.evaluation_days(limit)
        return evaluate(
            self.parts.eval_model, self.dataset, days, self.settings.data.horizons, self.parts.loss_function, self.group
        )

    def _evaluate_if_due(self) -> Evaluation | None:
        if self.progress.step % self.settings.training.evaluate_every:
            return None
        with self.heartbeat.section("evaluate"):
            evaluation = self.evaluate(self.settings.training.evaluate_dates)
        if not evaluation.finite:
            self.train_step.anomaly("prediction", float("nan"))
        horizons = self.settings.data.horizons
        rankic = evaluation.mean(horizons[0])
        weights = self.parts.eval_weights
        self.recorder.event(
            protocol.EVALUATED,
            dates=len(evaluation.rankic[horizons[0]]),
            weights=weights,
            val_loss=evaluation.loss,
            by_date={date: round(value, 6) for date, value in evaluation.rankic[horizons[0]].items()},
            identity=self.parts.evaluation_identity,
            **{f"rankic_h{horizon}": evaluation.mean(horizon) for horizon in horizons},
        )
        self.recorder.log.info(
            "step %d: RankIC@%dd %.4f (%s weights)", self.progress.step, horizons[0], rankic, weights
        )
        if rankic > self.progress.best:
            self.progress.best = rankic
            self.save(protocol.BEST)
        return evaluation

    def save(self, name: str, *, must: bool = False) -> bool:
        """Save a checkpoint under this path of the run folder; return whether it was saved.

        With `must` a failure raises Ended; without, it is recorded and training goes on. Raises FencedError. What is
        raised is raised in all processes.
        """
        saved, error = False, None
        with self.heartbeat.section("save"):
            try:
                saved = train_state.save(
                    self.root, name, self.parts, self.progress, self.recorder, self.generation, must=must
                )
                if saved and name == protocol.LAST:
                    self.history.add(self.progress.step, self.settings.checkpoint.keep, last=must)
            except (FencedError, Ended) as raised:
                error = raised
        self._raise_together(error)
        return saved

    def _raise_together(self, error: Exception | None) -> None:
        """Raise what the main process has met, in all processes: the others end with it."""
        if self.group.any(error is not None and self.group.is_main):
            raise error or Ended(TrainerExit.SAVE_FAILED, "the main process has ended")

    def resume(self, kind: str) -> str:
        """Load a checkpoint ("last", "best" or "scratch" for none) and record the start; return which one was loaded.

        Raises CheckpointError.
        """
        if self.group.is_main:
            for folder in ((self.root / protocol.LAST).parent, *self.generation.own_folders()):
                sweep(folder)
        source, self.progress = train_state.resume(self.root, kind, self.parts, self.recorder, self.generation)
        self.history.origin = self.progress.step
        if source == "scratch":
            begun = time.monotonic()
            ridge.start_linear_path(self.parts, self.dataset)
            self.seconds["linear start"] = time.monotonic() - begun
        self.recorder.step = self.progress.step
        saved_by = self.progress.resumed_generation
        report_start(self.recorder, self.parts, self.dataset, self.group, self.seconds, source, saved_by)
        return source

    # -- events, metrics, log -----------------------------------------------------------------------------------

    def _report_first_step(self, result: StepResult) -> None:
        step = self.progress.step
        self.recorder.event(protocol.FIRST_STEP, digest=self.parts.digest, loss=result.loss, step_s=result.seconds)
        self.recorder.log.info("first step: %d, loss %.4f, %.3f s", step, result.loss, result.seconds)

    def _report_step(self, result: StepResult, evaluation: Evaluation | None, bar: ProgressBar) -> None:
        step = self.progress.step
        row = metrics_row(self.settings, step, self.epoch(), result, evaluation)
        self.recorder.metrics(row)
        self._dashboards = [board for board in self._dashboards if log_to(board, row, step, self.recorder)]
        best = f"  best RankIC {self.progress.best:.4f}" if self.progress.best > float("-inf") else ""
        text = f"loss {result.loss:.4f}{best}  {result.seconds * 1000:.0f} ms"
        bar.show(step, self.settings.training.max_steps, text)
        if step % self.settings.training.log_every == 0:
            self.recorder.log.info(
                "step %d, epoch %d: loss %.4f (%.4f of predicting nothing), gradient norm %.2f, %.0f MB, %.0f ms",
                step,
                row["epoch"],
                result.loss,
                result.relative,
                result.grad_norm,
                row["rss_mb"],
                result.seconds * 1000,
            )
