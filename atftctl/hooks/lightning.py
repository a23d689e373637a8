"""A callback that makes a Lightning program one that atftctl can roll back, stop and prove.

    from atftctl.hooks.lightning import RollbackCallback

    rollback = RollbackCallback(configs=["config.yaml"], last="models/last.ckpt", every_n_steps=50)
    trainer = Trainer(callbacks=[rollback], ...)
    trainer.fit(model, ckpt_path=rollback.resume_from("last"))

Events, metrics and heartbeat as in reporter.py. When asked to stop, training ends after the present step, in the middle
of an epoch too, and is saved. All checkpoints, also those of ModelCheckpoint, are written to the folder of this start,
renamed into place, and reported with their SHA-256; none is written or removed after a newer trainer was started.

Lightning 2.2 or newer, by either of its names. To copy it into a project, copy reporter.py beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    import lightning.pytorch as pl
    from lightning.pytorch.plugins.io import CheckpointIO
    from lightning.pytorch.strategies import Strategy
except ImportError:
    import pytorch_lightning as pl
    from pytorch_lightning.plugins.io import CheckpointIO
    from pytorch_lightning.strategies import Strategy

try:
    from atftctl.hooks.reporter import LOOK_S, OnReload, Reporter
except ImportError:  # copied into a project
    from reporter import LOOK_S, OnReload, Reporter  # type: ignore[import-not-found, no-redef]

USUAL = ("setup", "on_fit_start", "on_train_start", "on_train_batch_end")
HOOKS = (*USUAL, "on_validation_end", "on_train_end", "on_exception")
EVALUATION_LIMIT_S = 1800.0
NEEDED = "RollbackCallback needs Lightning 2.2 or newer, and a CheckpointIO that saves at once"


Configured = list[list[dict[str, float]]]  # the options of each group of each optimizer


class RollbackCallback(pl.Callback):  # type: ignore[misc]
    """Reports the training and obeys atftctl. Give it to one `Trainer` only."""

    def __init__(
        self,
        *,
        configs: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        last: str = "models/last.ckpt",
        every_n_steps: int = 0,
        gradient_norm: bool = True,
        stop_on_nan: bool = False,
        on_reload: OnReload | None = None,
        root: str | None = None,
    ) -> None:
        """`configs`, `settings`, `on_reload`, `stop_on_nan`, `root`: as of Reporter. `last`: the checkpoint that is
        saved when the training is asked to stop, and every `every_n_steps` steps (0: never, ModelCheckpoint does).
        `gradient_norm`: measure it at each step.

        Raises RuntimeError for a Lightning that lacks a method which this needs; what Reporter raises.
        """
        self._refuse_other_versions()
        options: dict[str, Any] = {"configs": configs, "settings": settings, "on_reload": on_reload}
        self.reporter = Reporter(root, stop_on_nan=stop_on_nan, **options)
        self._last, self._every, self._measure_gradient = last, every_n_steps, gradient_norm
        self._reported = self._saved = 0
        self._resumed_generation = 0
        self._gradient: Any = None
        self._collected = 0.0
        self._alone = False
        self._configured: Configured = []
        self._saved_with: Configured = []

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the configs: train with these, and what is reported is what is in effect."""
        return self.reporter.settings

    def resume_from(self, kind: str = "last", best: str = "") -> str | None:
        """The checkpoint for `Trainer.fit(ckpt_path=...)`: `last` or `best` where it is there, None for `scratch`."""
        path = {"last": self._last, "best": best}.get(kind, "")
        return str(self.reporter.root / path) if path and (self.reporter.root / path).exists() else None

    # -- called by Lightning --------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Put the writer of checkpoints of this trainer behind ours."""
        del pl_module
        if stage != "fit":
            return
        self.reporter.is_main = trainer.is_global_zero
        strategy = trainer.strategy
        if not hasattr(strategy, "reduce_boolean_decision"):
            raise RuntimeError(f"Lightning {pl.__version__} has no Strategy.reduce_boolean_decision: {NEEDED}")
        if type(strategy).save_checkpoint is not Strategy.save_checkpoint:
            name = type(strategy).__name__
            self.reporter.event(
                "warning", message=f"{name} saves by itself: its checkpoints are not renamed into place"
            )
            return
        if "Async" in type(strategy.checkpoint_io).__name__:
            raise RuntimeError(f"{type(strategy.checkpoint_io).__name__} saves later than it says: {NEEDED}")
        if not isinstance(strategy.checkpoint_io, AtomicCheckpointIO):
            strategy.checkpoint_io = AtomicCheckpointIO(strategy.checkpoint_io, self.reporter)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Note how the optimizers are configured, before a checkpoint replaces it."""
        del pl_module
        self._configured = [[_options(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Report the start. From here on, signals are ours: Lightning's own handler would end without saving."""
        del pl_module
        self.reporter.requests.listen()
        self._alone = trainer.world_size == 1
        if self._saved_with:
            _reconfigure(trainer, self._saved_with, self._configured)
        self._reported = self._saved = trainer.global_step
        resumed = trainer.ckpt_path or "scratch"
        known = {"resumed_generation": self._resumed_generation} if self._resumed_generation else {}
        self.reporter.started(
            trainer.global_step, self._name(resumed), framework=f"lightning {pl.__version__}", **known
        )

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Measure the norm of the gradient, where the module does not log one."""
        del pl_module
        del trainer
        if self.reporter.is_main and self._measure_gradient:
            self._gradient = _norm(optimizer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Report the step; save and end if asked to."""
        del pl_module, batch, batch_idx
        step = trainer.global_step
        if step == self._reported:  # gradients are still being accumulated
            return
        self._reported = step
        self.reporter.step(step, **self._metrics(trainer, outputs))
        stopping = self.reporter.stop_requested
        if not self._alone:
            stopping = trainer.strategy.reduce_boolean_decision(stopping, all=False)
        if stopping:
            self.reporter.requests.request_stop()
            self._save(trainer)
            self.reporter.finish()
        elif self._every and step - self._saved >= self._every:
            self._save(trainer)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Name the section, so that a long validation is not taken for a hang."""
        del trainer, pl_module
        self.reporter.begin_section("evaluate", EVALUATION_LIMIT_S)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report the result of the validation."""
        del pl_module
        self.reporter.end_section()
        if not trainer.sanity_checking:
            values = {name: value for name, value in trainer.callback_metrics.items() if _has_one_value(value)}
            self.reporter.evaluated(**values)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Report the end of the training."""
        del pl_module
        if self._every and trainer.global_step > self._saved:
            self._save(trainer)
        self.reporter.ended(0, "training is done")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Report the error that ends the run."""
        del trainer, pl_module
        self.reporter.failed(exception)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: which start has saved it, and how its optimizers were set."""
        return {"generation": self.reporter.fence.number, "optimizers": self._configured}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up which start has saved the checkpoint."""
        self._resumed_generation = int(state_dict.get("generation", 0))
        self._saved_with = list(state_dict.get("optimizers", []))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _save(self, trainer: Any) -> None:
        """Save `last`, in all processes, as Lightning wants it."""
        self.reporter.leave_if_fenced()
        self._saved = trainer.global_step
        trainer.save_checkpoint(str(self.reporter.root / self._last))

    def _metrics(self, trainer: Any, outputs: Any) -> dict[str, Any]:
        """The loss of the step, the norm of the gradient; now and then the learning rate, and what was logged."""
        metrics: dict[str, Any] = {}
        if time.monotonic() - self._collected >= LOOK_S:  # Lightning takes a fraction of a millisecond for these
            self._collected = time.monotonic()
            metrics = {name: value for name, value in trainer.callback_metrics.items() if _has_one_value(value)}
            for optimizer in trainer.optimizers[:1]:
                metrics.setdefault("lr", float(optimizer.param_groups[0]["lr"]))
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None:
            metrics["loss"] = loss
        if self._gradient is not None:
            metrics.setdefault("grad_norm", self._gradient)
        return metrics

    def _name(self, path: str) -> str:
        name = os.path.relpath(path, self.reporter.root) if path != "scratch" else path
        return path if name.startswith("..") else name

    @staticmethod
    def _refuse_other_versions() -> None:
        missing = [name for name in HOOKS if not hasattr(pl.Callback, name)]
        if missing:
            raise RuntimeError(f"Lightning {pl.__version__} has no Callback.{missing[0]}: {NEEDED}")


class AtomicCheckpointIO(CheckpointIO):  # type: ignore[misc]
    """Writes each checkpoint to the folder of this start, and renames it into place; nothing after a newer start.

    `inner`: the CheckpointIO of the program. A path of a remote file system is handed on as it is.
    """

    def __init__(self, inner: Any, reporter: Reporter) -> None:
        self._inner, self._reporter = inner, reporter
        self._failed = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save; an I/O error is reported, and training goes on. Raises SystemExit (17) after a newer start."""
        if "://" in str(path):
            self._reporter.leave_if_fenced()
            self._inner.save_checkpoint(checkpoint, path, storage_options=storage_options)
            return
        target = Path(path).absolute()
        self._failed = not self._reporter.save(
            target, lambda staged: self._inner.save_checkpoint(checkpoint, staged, storage_options=storage_options)
        )

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> Any:
        """As the inner one."""
        return self._inner.load_checkpoint(path, *arguments, **options)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove; not after a newer start, whose checkpoint it may be (SystemExit, 17), and not after a save that has
        failed: the program believes that there is a newer one."""
        self._reporter.leave_if_fenced()
        if not self._failed:
            self._inner.remove_checkpoint(path)

    def teardown(self) -> None:
        """As the inner one."""
        self._inner.teardown()


def _has_one_value(value: Any) -> bool:
    return getattr(value, "numel", lambda: 1)() == 1


def _norm(optimizer: Any) -> Any:
    """The norm of the gradients of all parameters, as a tensor; None without gradients."""
    import torch

    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norms = [gradient.detach().norm() for gradient in gradients]
    return torch.stack([norm.to(norms[0].device) for norm in norms]).norm() if norms else None


def _options(group: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that a group of parameters is trained with; `lr` is that before any schedule."""
    options = {name: value for name, value in group.items() if type(value) in (int, float) and name != "initial_lr"}
    options["lr"] = float(group.get("initial_lr", group["lr"]))
    return options


def _reconfigure(trainer: Any, old: Configured, new: Configured) -> None:
    """Let what was configured anew count, and not what the checkpoint has brought: Lightning restores the learning rate
    of the old settings with the optimizer. What was not changed stays as a schedule has left it."""
    for optimizer, old_groups, new_groups in zip(trainer.optimizers, old, new):
        for group, before, after in zip(optimizer.param_groups, old_groups, new_groups):
            ratio = after["lr"] / before["lr"] if before.get("lr") else 0.0
            for name in after.keys() & before.keys() - {"lr"}:
                group[name] = after[name] if after[name] != before[name] else group[name]
            if ratio != 1.0:
                group["lr"] = group["lr"] * ratio if ratio else after["lr"]
                if "initial_lr" in group:
                    group["initial_lr"] = after["lr"]
    for schedule in trainer.lr_scheduler_configs:
        if hasattr(schedule.scheduler, "base_lrs"):
            schedule.scheduler.base_lrs = [group["initial_lr"] for group in schedule.scheduler.optimizer.param_groups]
