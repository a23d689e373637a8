"""One row of metrics.csv: what is measured at a step."""

from __future__ import annotations

from typing import Any

from atftctl.hooks.reporter import rss_anon_mb
from atftctl.trainer.config.settings import Settings
from atftctl.trainer.training.evaluation import Evaluation
from atftctl.trainer.training.optimizer import learning_rate
from atftctl.trainer.training.step import StepResult


def metrics_row(
    settings: Settings, step: int, epoch: int, result: StepResult, evaluation: Evaluation | None
) -> dict[str, Any]:
    """Return the values by column; `evaluation` only at a step that was followed by one."""
    row: dict[str, Any] = {
        "step": step,
        "epoch": epoch,
        "loss": result.loss,
        "loss_rel": result.relative,
        "mse": result.mse,
        "grad_norm": result.grad_norm,
        "lr": learning_rate(settings, step),
        "rss_mb": rss_anon_mb(),
        "step_s": result.seconds,
    }
    if evaluation:
        row["val_loss"] = evaluation.loss
        row |= {f"rankic_h{horizon}": evaluation.mean(horizon) for horizon in settings.data.horizons}
    return row
