"""A callback that makes a program with the Trainer of Hugging Face transformers one that atftctl can roll back.

    from atftctl.hooks.transformers import RollbackCallback

    rollback = RollbackCallback(configs=["config.yaml"])
    trainer = Trainer(model=model, args=arguments, callbacks=[rollback], ...)
    trainer.train(resume_from_checkpoint=rollback.resume_from("last", arguments.output_dir))

Events, metrics and heartbeat as in reporter.py. When asked to stop, training ends after the present step, and is saved.
Each folder with a checkpoint is reported with the hash of its files.

A callback can't put itself between the Trainer and the disk. So one window remains: if a newer trainer is started
between the end of a step and the end of the save that follows it, this one still writes that folder. From the next step
on, nothing is saved: `should_save` is cleared, and the program ends with exit code 17.

transformers 4.46 or newer. To copy it into a project, copy reporter.py beside it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import transformers
from transformers import TrainerCallback

try:
    from atftctl.hooks.reporter import OnReload, Reporter
except ImportError:  # copied into a project
    from reporter import OnReload, Reporter  # type: ignore[import-not-found, no-redef]

HOOKS = ("on_train_begin", "on_step_end", "on_log", "on_evaluate", "on_save", "on_train_end", "on_prediction_step")
STATE = "trainer_state.json"  # the last file that the Trainer writes into a checkpoint
NOTE = "atftctl.json"  # which start has saved the checkpoint, with which learning rate
NOT_OF_A_STEP = {"train_runtime", "train_samples_per_second"}
EVALUATION_LIMIT_S = 1800.0
NEEDED = "RollbackCallback needs transformers 4.46 or newer"


class RollbackCallback(TrainerCallback):  # type: ignore[misc]
    """Reports the training and obeys atftctl. Give it to one `Trainer` only."""

    def __init__(
        self,
        *,
        configs: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        stop_on_nan: bool = False,
        on_reload: OnReload | None = None,
        root: str | None = None,
    ) -> None:
        """`configs`, `settings`, `on_reload`, `stop_on_nan`, `root`: as of Reporter. Raises RuntimeError for a
        version that lacks a method which this needs; what Reporter raises."""
        missing = [name for name in HOOKS if not hasattr(TrainerCallback, name)]
        if missing:
            raise RuntimeError(f"transformers {transformers.__version__} has no {missing[0]}: {NEEDED}")
        options: dict[str, Any] = {"configs": configs, "settings": settings, "on_reload": on_reload}
        self.reporter = Reporter(root, stop_on_nan=stop_on_nan, **options)
        self._resumed_from = ""
        self._row: dict[str, Any] = {}
        self._alone = False

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the configs: train with these, and what is reported is what is in effect."""
        return self.reporter.settings

    def resume_from(self, kind: str, output_dir: str) -> str | None:
        """The checkpoint for `Trainer.train(resume_from_checkpoint=...)`: of `last`, the newest folder that is whole;
        of `best`, the one that the newest state names; None for `scratch`, or where there is none."""
        folders = [] if kind == "scratch" else complete_checkpoints(self.reporter.root / output_dir)
        path = folders[-1] if folders else None
        if path is not None and kind == "best":
            best = _state(path).get("best_model_checkpoint")
            named = self.reporter.root / best if isinstance(best, str) else None
            path = named if named in folders else None
        self._resumed_from = str(path or "")
        return str(path) if path else None

    # -- called by the Trainer ------------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the start. Where the arguments have another learning rate than those that the checkpoint was saved
        with, let it count: the Trainer restores the old one."""
        del control
        self.reporter.is_main = state.is_world_process_zero
        self.reporter.requests.listen()
        self._alone = getattr(args, "world_size", 1) == 1
        self.reporter.report_crashes()
        source = self._source(args, state.global_step)
        note = _note(Path(source)) if source else {}
        known = {"resumed_generation": note["generation"]} if note.get("generation") else {}
        if note.get("learning_rate", args.learning_rate) != args.learning_rate:
            _rescale(kwargs, note["learning_rate"], args.learning_rate)
        name = os.path.relpath(source, self.reporter.root) if source else "scratch"
        self.reporter.started(state.global_step, name, framework=f"transformers {transformers.__version__}", **known)
        if getattr(args, "logging_nan_inf_filter", False) and self.reporter.is_main:
            self.reporter.event("warning", message="a loss that is not finite is hidden: logging_nan_inf_filter is on")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the step. A stop lets the Trainer save and end; a newer trainer keeps it from saving."""
        del kwargs
        try:
            self._report_row()
            self.reporter.step(state.global_step)
        except SystemExit:
            control.should_save = control.should_evaluate = control.should_log = False
            control.should_training_stop = True
            raise
        stopping = self.reporter.stop_requested
        if stopping if self._alone else _in_any_process(stopping, args):
            self.reporter.requests.request_stop()
            control.should_evaluate = False  # it may take longer than the time that there is
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Collect what is logged of a step, its loss first and its evaluation later, as one row of metrics."""
        del args, control, kwargs
        if self._row.get("step") != state.global_step:
            self._report_row()
        values = {name: value for name, value in (logs or {}).items() if isinstance(value, (int, float))}
        if "learning_rate" in values:
            values["lr"] = values.pop("learning_rate")
        if not NOT_OF_A_STEP & values.keys():  # what it logs at its end is of all steps
            self._row.update(values, step=state.global_step)
        if any(isinstance(value, float) and not math.isfinite(value) for value in values.values()):
            self._report_row()
            self.reporter.flush()  # before the Trainer saves

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name the section, so that a long evaluation is not taken for a hang."""
        del args, state, control, kwargs
        self.reporter.begin_section("evaluate", EVALUATION_LIMIT_S)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Report the result of an evaluation."""
        del args, state, control, kwargs
        self.reporter.end_section()
        self._report_row()
        self.reporter.evaluated(**{str(name): value for name, value in (metrics or {}).items()})

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the checkpoint, and note in it which start has saved it."""
        del control, kwargs
        _in_any_process(False, args)  # the others write their random states
        folder = Path(args.output_dir).absolute() / f"checkpoint-{state.global_step}"
        if not self.reporter.is_main or not folder.is_dir():
            return
        with suppress(OSError):
            note = {"generation": self.reporter.fence.number, "learning_rate": args.learning_rate}
            (folder / NOTE).write_text(json.dumps(note))
        self.reporter.checkpoint(folder)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the end. Raises SystemExit (10) if it was asked for: what a program does after a training that is
        done, such as to export the model, is not for one that is not."""
        del args, state, control, kwargs
        self._report_row()
        self.reporter.finish()

    def _source(self, args: Any, step: int) -> str:
        """The checkpoint that was resumed from; "" for none."""
        folder = Path(args.output_dir).absolute() / f"checkpoint-{step}"
        return (str(folder) if folder.is_dir() else self._resumed_from) if step else ""

    def _report_row(self) -> None:
        row, self._row = self._row, {}
        if row:
            self.reporter.metrics(row.pop("step"), **row)


def complete_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a Trainer in this folder that are whole, as far as that can be seen, by step: the state, which
    is written last, can be read, and no safetensors file is shorter than its header says."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    whole = [path for path in found if _state(path) and all(map(is_whole, path.glob("*.safetensors")))]
    return sorted(whole, key=lambda path: int(path.name.rpartition("-")[2]))


def is_whole(path: Path) -> bool:
    """Has this safetensors file the length that its header says? safetensors has no checksum of its own."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            header = json.loads(file.read(length)) if length <= size else {}
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return False
    return size == 8 + length + max(ends, default=0)


def _state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _note(folder: Path) -> dict[str, Any]:
    try:
        note = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return {}
    kinds = {"generation": int, "learning_rate": float}
    return {name: note[name] for name, kind in kinds.items() if isinstance(note, dict) and type(note.get(name)) is kind}


def _rescale(training: Mapping[str, Any], old: float, new: float) -> None:
    """Set the learning rates of the optimizer and its schedule as with `new` in place of `old`."""
    schedule: Any = training.get("lr_scheduler")
    groups = training["optimizer"].param_groups if training.get("optimizer") is not None else []
    for group in groups:
        for name in {"lr", "initial_lr"} & group.keys():
            group[name] = group[name] * (new / old) if old else new
    schedule = getattr(schedule, "scheduler", schedule)  # accelerate puts its own around it
    if hasattr(schedule, "base_lrs"):
        schedule.base_lrs = [rate * (new / old) if old else new for rate in schedule.base_lrs]


def _in_any_process(flag: bool, args: Any) -> bool:
    """Is the flag set in one of the processes of this run? All must ask at the same step."""
    import torch

    group = torch.distributed
    if not group.is_available() or not group.is_initialized() or group.get_world_size() == 1:
        return flag
    value = torch.tensor(int(flag), device=args.device)
    group.all_reduce(value, op=group.ReduceOp.MAX)
    return bool(value.item())
