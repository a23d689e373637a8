"""RankIC: the Spearman correlation of prediction and future return over one day's stocks."""

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
VERSION = 3  # of what is measured here: part of a baseline's identity


@dataclass(frozen=True)
class Evaluation:
    """`rankic` by horizon and date, `loss` mean over the dates, `predictions` their digest."""

    rankic: dict[int, dict[str, float]]
    loss: float
    predictions: str
    spread: float  # std of the predictions by that of the targets, first horizon
    finite: bool

    def mean(self, horizon: int) -> float:
        values = list(self.rankic[horizon].values())
        return math.fsum(values) / len(values) if values else math.nan


def evaluation_identity(dataset: Dataset, horizons: Sequence[int]) -> dict[str, Any]:
    """What a RankIC is measured on: those of two that differ in it can't be compared."""
    split = dataset.split.validation
    return {
        "panel": dataset.panel.digest,
        "horizons": list(horizons),
        "first": dataset.panel.dates[split[0]],
        "last": dataset.panel.dates[split[-1]],
        "evaluation": VERSION,
    }


@dataclass(frozen=True)
class _Seen:
    """Of one date."""

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
    """On these days, shared by the processes, with the model in evaluation mode; its mode is put back afterwards."""
    training = model.training
    model.eval()
    ours = [_look(model, dataset.day(int(days[at])).to(group.device), loss_function) for at in group.shard(len(days))]
    model.train(training)
    seen = sorted((one for part in group.gather(ours) for one in part), key=lambda one: one.date)
    rankic = {
        horizon: {one.date: one.rankic[index] for one in seen if math.isfinite(one.rankic[index])}
        for index, horizon in enumerate(horizons)
    }
    return Evaluation(
        rankic,
        float(np.mean([one.loss for one in seen])) if seen else math.nan,
        hashlib.sha256(b"".join(one.digest for one in seen)).hexdigest(),
        float(np.mean([one.spread for one in seen])) if seen else math.nan,
        all(one.finite for one in seen),
    )


def _look(model: torch.nn.Module, day: Day, loss_function: LossFunction) -> _Seen:
    prediction = model(day).float()
    p, y = prediction.cpu().numpy(), day.y.cpu().numpy()
    return _Seen(
        day.date,
        [spearman(p[:, index], y[:, index]) for index in range(p.shape[1])],
        float(loss_function(prediction, day.y).total),
        float(p[:, 0].std()),
        hashlib.sha256(np.ascontiguousarray(p).data).digest(),
        bool(np.isfinite(p).all()),
    )


def spearman(p: np.ndarray, y: np.ndarray) -> float:
    """NaN with fewer than five stocks, or where either side is constant."""
    known = np.isfinite(p) & np.isfinite(y)
    if known.sum() < MIN_STOCKS or np.ptp(p[known]) == 0 or np.ptp(y[known]) == 0:
        return math.nan
    left, right = (average_ranks(one[known][None])[0] for one in (p, y))
    left, right = left - left.mean(), right - right.mean()
    # by sums: corrcoef wakes OpenBLAS, whose threads take 40 MB of address space, just when memory is short
    return float((left * right).sum() / np.sqrt((left * left).sum() * (right * right).sum()))
