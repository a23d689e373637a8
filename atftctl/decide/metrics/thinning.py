"""Fewer points that draw the same curve."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from atftctl.domain.curve import Curve

if TYPE_CHECKING:
    from atftctl.domain.metrics_table import Numbers

BUCKETS = 800  # about a column of dots each, also of a picture


def thinned(title: str, xs: Numbers, ys: Numbers, *, unit: str = "", ends: tuple[str, str] = ("", "")) -> Curve:
    """The curve of these points, whose xs rise.

    Of many points, each of `BUCKETS` parts along x keeps its first, last, least and greatest value (as M4 does; Jugel
    et al. 2014), and the first that is not finite: what is drawn from them is the same, spikes and all.
    """
    import numpy as np

    if len(xs) > 5 * BUCKETS:
        edges = np.linspace(xs[0], xs[-1], BUCKETS + 1)[1:-1]
        bounds = np.unique([0, *np.searchsorted(xs, edges), len(xs)]).tolist()
        kept = sorted({at for begin, end in pairwise(bounds) for at in _kept(ys, begin, end)})
        xs, ys = xs[kept], ys[kept]
    return Curve(title, xs.tolist(), ys.tolist(), unit, ends)


def _kept(ys: Numbers, begin: int, end: int) -> set[int]:
    """The rows of one part that are kept."""
    import numpy as np

    part = ys[begin:end]
    finite = np.isfinite(part)
    kept = {begin, end - 1}
    if not finite.all():
        kept.add(begin + int(np.argmin(finite)))
        part = np.where(finite, part, np.nan)
    if finite.any():
        kept |= {begin + int(np.nanargmin(part)), begin + int(np.nanargmax(part))}
    return kept
