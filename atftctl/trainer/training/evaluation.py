"""Evaluation by RankIC: the Spearman correlation of prediction and future return over the stocks of one day."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atftctl.trainer.data.dataset import Dataset, Day
from atftctl.trainer.data.features import average_ranks
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.training.loss import LossFunction

MIN_STOCKS = 5
VERSION = 3  # of this measurement; values of different versions are not compared


@dataclass(frozen=True)
class Evaluation:
    """What was measured on some days, averaged over them where it is one number."""

    rankic: dict[int, dict[str, float]]  # by horizon in days, then by date; days without a RankIC are left out
    loss: float
    predictions: str  # SHA-256 over all predictions
    spread: float  # standard deviation of the predictions of the first horizon; the targets have 1
    finite: bool  # every prediction is finite

    def mean(self, horizon: int) -> float:
        """Return the mean RankIC of this horizon; NaN if no day has one."""
        values = list(self.rankic[horizon].values())
        return math.fsum(values) / len(values) if values else math.nan


def evaluation_identity(dataset: Dataset, horizons: Sequence[int]) -> dict[str, Any]:
    """Return what a RankIC is measured on. RankICs can be compared only if this is equal for both."""
    split = dataset.split.validation
    return {
        "panel": dataset.panel.digest,
        "horizons": list(horizons),
        "first": dataset.panel.dates[split[0]],
        "last": dataset.panel.dates[split[-1]],
        "evaluation": VERSION,
    }


@dataclass(frozen=True)
class _DateResult:
    """What was measured on one date; `rankic` has one value for each horizon."""

    date: str
    rankic: list[float]
    loss: float
    spread: float
    digest: bytes
    finite: bool


@torch.no_grad()
def evaluate(
    model: torch.nn.Module,
    dataset: Dataset,
    days: Sequence[int],
    horizons: tuple[int, ...],
    loss_function: LossFunction,
    group: ProcessGroup,
) -> Evaluation:
    """Evaluate the model on these days (day numbers of the dataset), divided among the processes.

    The model is in evaluation mode meanwhile; its mode is restored afterwards.
    """
    training = model.training
    model.eval()
    ours = [
        _evaluate_date(model, dataset.day(int(days[at])).to(group.device), loss_function)
        for at in group.shard(len(days))
    ]
    model.train(training)
    results = sorted((result for part in group.gather(ours) for result in part), key=lambda result: result.date)
    rankic = {
        horizon: {result.date: result.rankic[index] for result in results if math.isfinite(result.rankic[index])}
        for index, horizon in enumerate(horizons)
    }
    return Evaluation(
        rankic,
        float(np.mean([result.loss for result in results])) if results else math.nan,
        hashlib.sha256(b"".join(result.digest for result in results)).hexdigest(),
        float(np.mean([result.spread for result in results])) if results else math.nan,
        all(result.finite for result in results),
    )


def _evaluate_date(model: torch.nn.Module, day: Day, loss_function: LossFunction) -> _DateResult:
    prediction = model(day).float()
    p, y = prediction.cpu().numpy(), day.y.cpu().numpy()
    return _DateResult(
        day.date,
        [spearman(p[:, index], y[:, index]) for index in range(p.shape[1])],
        float(loss_function(prediction, day.y).total),
        float(p[:, 0].std()),
        hashlib.sha256(np.ascontiguousarray(p).data).digest(),
        bool(np.isfinite(p).all()),
    )


def spearman(p: np.ndarray, y: np.ndarray) -> float:
    """Return the Spearman correlation of p and y [N], equal values sharing the mean of their ranks.

    NaN with fewer than five known pairs, or if p or y is constant.
    """
    known = np.isfinite(p) & np.isfinite(y)
    if known.sum() < MIN_STOCKS or np.ptp(p[known]) == 0 or np.ptp(y[known]) == 0:
        return math.nan
    left, right = (average_ranks(values[known][None])[0] for values in (p, y))
    left, right = left - left.mean(), right - right.mean()
    # np.corrcoef would start the threads of OpenBLAS, which take 40 MB of address space when memory is short
    return float((left * right).sum() / np.sqrt((left * left).sum() * (right * right).sum()))
