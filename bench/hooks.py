"""What a hook costs a training step: the reporter in a plain loop, and each callback where its framework is installed.

A figure is the median of the processor time of one call, in ms, over many steps with the writes that fall between them.
Ends with one line of JSON; exit 1 where a target is missed.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atftctl.hooks.reporter import Reporter  # noqa: E402
from bench.report import finish  # noqa: E402

STEPS, ROUNDS, LIMIT_MS = 2_000, 5, 0.1
PACE_S = 0.002  # of a step, so that as many looks and writes fall between the steps as in a fast training


def per_step_ms(report: Callable[[int], object]) -> float:
    """The processor time of one call: the mean of each round, the median of the rounds."""
    rounds = []
    step = 0
    for _ in range(ROUNDS):
        spent = 0.0
        for _ in range(STEPS // ROUNDS):
            step += 1
            time.sleep(PACE_S)
            begun = time.thread_time()
            report(step)
            spent += time.thread_time() - begun
        rounds.append(spent / (STEPS // ROUNDS) * 1000)
    return statistics.median(rounds)


def plain(root: Path) -> float:
    reporter = Reporter(root, settings={"lr": 0.1})
    reporter.started()
    return per_step_ms(lambda step: reporter.step(step, loss=1 / step, grad_norm=0.5, lr=0.1))


def lightning(root: Path) -> float:
    """With what `Trainer` hands over, and without the norm of the gradient, whose cost is that of the model."""
    import torch

    from atftctl.hooks.lightning import RollbackCallback

    callback = RollbackCallback(root=str(root), settings={"lr": 0.1}, gradient_norm=False)
    loss = torch.tensor(0.5)
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    strategy = SimpleNamespace(reduce_boolean_decision=lambda flag, **_: flag)
    trainer: Any = SimpleNamespace(
        global_step=0, callback_metrics={"train_loss": loss}, optimizers=[optimizer], strategy=strategy, ckpt_path=None
    )
    callback.on_train_start(trainer, None)

    def report(step: int) -> None:
        trainer.global_step = step
        callback.on_train_batch_end(trainer, None, {"loss": loss}, None, step)

    return per_step_ms(report)


def transformers(root: Path) -> float:
    """With a log of each step."""
    from transformers import TrainerControl, TrainerState

    from atftctl.hooks.transformers import RollbackCallback

    callback = RollbackCallback(root=str(root), settings={"lr": 0.1})
    state, control = TrainerState(), TrainerControl()
    arguments = SimpleNamespace(logging_nan_inf_filter=False, device="cpu", output_dir="out", learning_rate=0.1)
    callback.on_train_begin(arguments, state, control)

    def report(step: int) -> None:
        state.global_step = step
        callback.on_step_end(arguments, state, control)
        callback.on_log(arguments, state, control, logs={"loss": 0.5, "grad_norm": 0.1, "learning_rate": 0.1})

    return per_step_ms(report)


def main() -> None:
    figures = {}
    for name, measure in (("reporter", plain), ("lightning", lightning), ("transformers", transformers)):
        if name != "reporter" and importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: make test-examples")
            continue
        with tempfile.TemporaryDirectory() as folder:
            figures[f"{name}_ms"] = measure(Path(folder))
    finish("hooks", figures, dict.fromkeys(figures, ("<=", LIMIT_MS)))


if __name__ == "__main__":
    main()
