"""Closed-form start of the linear path: what is linear is solved at once, and the deep part learns the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from atftctl.trainer.model.atft import SCALE

if TYPE_CHECKING:
    from atftctl.trainer.data.dataset import Dataset
    from atftctl.trainer.training.components import Parts

PENALTY = 0.01  # for each row, as for the ridge of bench/quality.py on a million rows
MAX_ROWS = 1_000_000  # from evenly spread days; enough to know each weight to a thousandth


@torch.no_grad()
def start_linear_path(parts: Parts, dataset: Dataset) -> None:
    """Set the linear path of a model without training to the ridge solution on the training days.

    For each horizon these are the weights w [2R] that minimise Σ (y - x·w)² + PENALTY · rows · |w|² (Hoerl & Kennard
    1970), where x [2R] is the input of the path and y the ranked future return. The averaged weights, if there are any,
    are set to the same values.
    """
    model = parts.model
    size, horizons = model.peers.linear.in_features, model.peers.linear.out_features
    gram, moment, rows = np.zeros((horizons, size, size)), np.zeros((horizons, size)), np.zeros(horizons)
    days = dataset.split.train
    wanted = np.linspace(0, len(days) - 1, max(1, MAX_ROWS // dataset.most_stocks())).astype(int)
    training = model.training
    model.eval()  # running statistics must not move
    for number in days[np.unique(wanted)]:
        day = dataset.day(int(number)).to(model.peers.linear.weight.device)
        x = model.peers.inputs(model.normalise(day.x[:, -1]), day.neighbours).double().cpu().numpy()
        y = day.y.double().cpu().numpy()
        for at in range(horizons):
            known = np.isfinite(y[:, at])
            gram[at] += x[known].T @ x[known]
            moment[at] += x[known].T @ y[known, at]
            rows[at] += known.sum()
    model.train(training)
    penalty = PENALTY * np.maximum(rows, 1)[:, None, None] * np.eye(size)
    weights = np.linalg.solve(gram + penalty, moment[..., None])[..., 0]
    model.peers.linear.weight.copy_(torch.from_numpy(weights / SCALE))
    if parts.ema is not None:
        parts.ema.model.load_state_dict(model.state_dict())
