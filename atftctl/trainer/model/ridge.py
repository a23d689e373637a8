"""The linear path's closed-form start: what is linear need not be found by steps, and the deep part has the rest to
learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from atftctl.trainer.model.atft import SCALE

if TYPE_CHECKING:
    from atftctl.trainer.data.dataset import Dataset
    from atftctl.trainer.training.components import Parts

PENALTY = 0.01  # by row: what bench/quality.py gives its ridge on a million rows
MAX_ROWS = 1_000_000  # of evenly spread days; they tell each weight to a thousandth


@torch.no_grad()
def start_linear_path(parts: Parts, dataset: Dataset) -> None:
    """Set the linear path of a model that begins from scratch to the ridge solution on the training days: for each
    horizon the weights w that minimise Σ (y - x·w)² + PENALTY · rows · |w|² (Hoerl & Kennard 1970), x being what the
    path sees [2R] and y the ranked future return. The averaged weights, where there are any, start there too."""
    model = parts.model
    size, horizons = model.peers.linear.in_features, model.peers.linear.out_features
    gram, moment, rows = np.zeros((horizons, size, size)), np.zeros((horizons, size)), np.zeros(horizons)
    days = dataset.split.train
    wanted = np.linspace(0, len(days) - 1, max(1, MAX_ROWS // dataset.most_stocks())).astype(int)
    training = model.training
    model.eval()  # running statistics are not to move
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
