"""RankIC: the Spearman correlation of prediction and future return over one day's stocks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.data.features import rank
from atftctl.trainer.objective import Objective

FEWEST_STOCKS = 5
VERSION = 1  # of what is measured here: part of a baseline's identity


@dataclass(frozen=True)
class Evaluation:
    """`rankic` by horizon and date, `loss` mean over the dates, `predictions` their digest."""

    rankic: dict[int, dict[str, float]]
    loss: float
    predictions: str
    spread: float  # std of the predictions by that of the targets, first horizon

    def mean(self, horizon: int) -> float:
        values = list(self.rankic[horizon].values())
        return math.fsum(values) / len(values) if values else math.nan


@torch.no_grad()
def evaluate(
    model: torch.nn.Module,
    dataset: Dataset,
    days: Sequence[int],
    horizons: tuple[int, ...],
    objective: Objective,
    device: torch.device,
) -> Evaluation:
    """On these days, with the model in evaluation mode; its mode is put back afterwards."""
    training = model.training
    model.eval()
    rankic: dict[int, dict[str, float]] = {horizon: {} for horizon in horizons}
    losses, spreads = [], []
    digest = hashlib.sha256()
    for number in days:
        day = dataset.day(int(number)).to(device)
        prediction = model(day)
        losses.append(float(objective(prediction, day.y).total))
        p, y = prediction.float().cpu().numpy(), day.y.cpu().numpy()
        digest.update(np.ascontiguousarray(p))
        spreads.append(float(p[:, 0].std()))
        for index, horizon in enumerate(horizons):
            value = spearman(p[:, index], y[:, index])
            if math.isfinite(value):
                rankic[horizon][day.date] = value
    model.train(training)
    return Evaluation(
        rankic,
        float(np.mean(losses)) if losses else math.nan,
        digest.hexdigest(),
        float(np.mean(spreads)) if spreads else math.nan,
    )


def spearman(p: np.ndarray, y: np.ndarray) -> float:
    """NaN with fewer than five stocks, or where either side is constant."""
    known = np.isfinite(p) & np.isfinite(y)
    if known.sum() < FEWEST_STOCKS or np.ptp(p[known]) == 0 or np.ptp(y[known]) == 0:
        return math.nan
    left, right = (rank(one[known][None].astype(np.float32))[0] for one in (p, y))
    return float(np.corrcoef(left, right)[0, 1])
