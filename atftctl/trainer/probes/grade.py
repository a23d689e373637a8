"""Grades one checkpoint: does it load, is everything in it finite, and does training go on from it?

What was measured is returned; whether it is normal is judged by the other side.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from atftctl.protocol import TrainerExit
from atftctl.trainer.errors import CheckpointError, Ended, ProbeError
from atftctl.trainer.probes.bench import Bench
from atftctl.trainer.probes.verify_parts import sha256_of
from atftctl.trainer.runtime import card
from atftctl.trainer.runtime.memory import is_out_of_memory
from atftctl.trainer.training import checkpoint
from atftctl.trainer.training.train_state import load_state
from atftctl.trainer.training.trainer import Trainer

CARD_SHARE = 0.9  # of the free memory of a graphics card; the trainer in service keeps the rest


def grade(bench: Bench, path: Path, *, train: bool) -> dict[str, Any]:
    """Load this checkpoint in a scratch copy; with `train`, take the steps of the bench from it.

    Returns `sha256` of the file; `step` and `generation`; `refused`, why it does not load (then nothing else); `rows`,
    what each step measured; and `ended`, why training ended before the last step. Raises FileNotFoundError, DataError,
    SettingsError, and for an end that says nothing about the checkpoint the error that it came from: out of memory, a
    full disk.
    """
    card.limit_memory(CARD_SHARE)
    trainer = bench.make(bench.configs, "grade")
    digest = sha256_of(path)
    answer: dict[str, Any] = {"sha256": digest}
    try:
        saved = checkpoint.load(path)
        if sha256_of(path) != digest:
            raise ProbeError("the file was replaced while it was read")
        trainer.progress = load_state(saved, trainer.parts, trainer.recorder)
    except CheckpointError as error:
        if _is_of_the_machine(error.__context__):
            raise
        return answer | {"refused": str(error).replace(f"{path} ", "")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # the hash is right, and a key is not
        return answer | {"refused": f"its content is not as expected ({type(error).__name__}: {error})"}
    answer |= {"step": trainer.progress.step, "generation": trainer.progress.resumed_generation}
    if wrong := next(not_finite(saved), ""):
        return answer | {"refused": f"{wrong} is not finite"}
    return answer | (_steps(trainer, bench.steps) if train else {})


def not_finite(value: Any, name: str = "") -> Iterator[str]:
    """The names of the tensors with a value that is not finite: weights, averages and the optimiser's moments."""
    if isinstance(value, torch.Tensor):
        if not torch.isfinite(value).all():
            yield name
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        yield from not_finite(item, f"{name}.{key}".lstrip("."))


def _is_of_the_machine(error: BaseException | None) -> bool:
    """Does this error (no memory, a full disk, a file that can't be read now) say nothing about the checkpoint?"""
    return error is not None and (isinstance(error, OSError) or is_out_of_memory(error))


def _steps(trainer: Trainer, count: int) -> dict[str, Any]:
    """Take so many steps. The dates of each are those that the run would have taken."""
    rows: list[dict[str, Any]] = []
    try:
        for _ in range(count):
            result = trainer.next_step()
            numbers = {"loss": result.loss, "loss_rel": result.relative, "grad_norm": result.grad_norm}
            rows.append({"step": trainer.progress.step, **{key: str(value) for key, value in numbers.items()}})
    except Ended as error:
        if error.code != TrainerExit.ANOMALY:
            raise
        return {"rows": rows, "ended": error.reason, "exit_code": int(error.code)}
    except Exception as error:
        if _is_of_the_machine(error):
            raise
        return {"rows": rows, "ended": f"{type(error).__name__}: {error}"[:300]}
    return {"rows": rows}
