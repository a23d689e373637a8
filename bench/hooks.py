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
    """In a real `Trainer` with a module that logs a value, without the norm of the gradient: that costs what the model
    costs."""
    import lightning.pytorch as pl
    import torch

    from atftctl.hooks.lightning import RollbackCallback

    spent: list[float] = []

    class Timed(RollbackCallback):
        def on_train_batch_end(self, *arguments: Any) -> None:
            time.sleep(PACE_S)
            begun = time.thread_time()
            super().on_train_batch_end(*arguments)
            spent.append(time.thread_time() - begun)

    class Line(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> Any:  # noqa: ARG002 - Lightning's signature
            loss = self.line(batch[0]).square().mean()
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    callback = Timed(root=str(root), settings={"lr": 0.1}, gradient_norm=False)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(STEPS, 1)), batch_size=1)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "devices": 1}
    pl.Trainer(accelerator="cpu", max_steps=STEPS, callbacks=[callback], **quiet).fit(Line(), data)
    size = len(spent) // ROUNDS
    return statistics.median(sum(spent[at * size : (at + 1) * size]) / size * 1000 for at in range(ROUNDS))


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
