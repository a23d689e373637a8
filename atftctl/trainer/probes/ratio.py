"""The ratio of two step times that were measured in turns."""

from __future__ import annotations

import numpy as np

DRAWS = 2_000


def ratio_of_medians(mine: list[float], theirs: list[float]) -> tuple[float, float]:
    """Return the ratio of the medians, and the lower end of its one-sided 95 % bootstrap interval.

    The bootstrap draws pairs, from a fixed seed (Efron & Tibshirani 1993, chapter 13).
    """
    left, right = np.array(mine), np.array(theirs)
    drawn = np.random.default_rng(0).integers(0, len(left), (DRAWS, len(left)))
    ratios = np.median(left[drawn], axis=1) / np.median(right[drawn], axis=1)
    return float(np.median(left) / np.median(right)), float(np.quantile(ratios, 0.05))
