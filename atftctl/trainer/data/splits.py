"""Share splits for which a panel's prices are not adjusted: undone if open and volume confirm them, else reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.files import PRICES, Array

# A split gives n new shares for m old ones. Usual are whole numbers up to 1,000, their inverses, and small n and m.
PARTS = 7  # largest n and m if neither is 1
WHOLE, OTHER = 0.02, 0.01  # largest relative distance of the open from a whole ratio, and from another one
VOLUME_WHOLE, VOLUME_OTHER = 2.0, 1.5  # the same for the volume, as a factor; after a crash it is several times as high
SMALLEST = 0.15  # smallest |log| of a jump that is examined; a split of 6 for 5 has 0.18
SUSPECT = 0.35  # smallest |log| of an unconfirmed jump that is reported: 30 % down, 42 % up
# Smallest |log| of a ratio that is not whole. In eleven years of adjusted Tokyo prices, about fifty jumps (earthquakes,
# daily price limits, rebounds) are within 1 % of 4:3, 7:5, 6:5 and similar ratios with ordinary volume; none is at 3:2
# or beyond.
SURE = 0.39
FEW = 20  # whole prices below this move in such ratios by themselves
RATIOS = sorted({Fraction(n, m) for n in range(2, PARTS + 1) for m in range(2, PARTS + 1) if n != m})
NAMED_STOCKS = 3  # number of stocks that a note names

SplitReport = tuple[tuple[str, ...], tuple[str, ...]]  # (notes on undone splits, warnings of unconfirmed jumps)


def undo_splits(days: npt.NDArray[np.int64], tickers: tuple[str, ...], grids: Mapping[str, Array]) -> SplitReport:
    """Undo the splits that prices and volume confirm; return (notes, warnings).

    A stock that opens at m/n of its last close, while its volume rises to n/m of the usual, was split. `grids` [days,
    stocks] are changed in place, `days` are days since 1970. The days from the split on are brought to the earlier
    scale, and not the reverse, so that nothing known on a day depends on later days. An adjusted panel is not changed.
    """
    last = np.full(len(tickers), np.nan, np.float32)
    usual = np.full(len(tickers), np.nan, np.float32)  # slow mean of the volume
    scale = np.ones(len(tickers), np.float32)
    undone: list[str] = []
    doubtful: list[str] = []
    for number in range(len(days)):
        opening, volume = np.asarray(grids["open"][number]), np.asarray(grids["volume"][number])
        with np.errstate(all="ignore"):
            jump = last / opening  # 2 for a split in two
        size = np.abs(np.log(np.where(np.isfinite(jump), jump, 1)))
        for at in np.flatnonzero(size > SMALLEST):
            coarse = min(last[at], opening[at]) < FEW and last[at] % 1 == 0 and opening[at] % 1 == 0
            ratio = 0.0 if coarse else confirmed_ratio(float(jump[at]), float(volume[at] / usual[at]))
            day = np.datetime64(int(days[number]), "D")
            if ratio:
                scale[at] *= ratio
                usual[at] *= ratio
                undone.append(f"{tickers[at]} on {day}")
            elif size[at] > SUSPECT:
                doubtful.append(f"{tickers[at]} on {day} ({1 / jump[at]:.3g} of its last close)")
        traded = np.isfinite(opening)
        last = np.where(traded, grids["close"][number], last)
        usual = np.where(traded, np.where(np.isfinite(usual), 0.9 * usual + 0.1 * volume, volume), usual)
        if (scale != 1).any():
            for name in PRICES:
                grids[name][number] *= scale
            grids["volume"][number] /= scale
    notes = (f"{len(undone)} split{'s' * (len(undone) > 1)} undone: {_first(undone)}",) if undone else ()
    jumps = f"{len(doubtful)} jump{'s' * (len(doubtful) > 1)}"
    warnings = (f"{jumps} that may be a split, not changed: {_first(doubtful)}",) if doubtful else ()
    return notes, warnings


def confirmed_ratio(jump: float, volume: float) -> float:
    """Return the ratio n/m of a split that open and volume confirm; 0 if there is none.

    `jump` is the last close divided by the open, `volume` the volume divided by the usual one.
    """
    whole = round(jump) if jump > 1 else round(1 / jump)
    ratio = float(whole) if jump > 1 else 1 / max(whole, 1)
    if 2 <= whole <= 1000 and _near(jump, ratio, 1 + WHOLE) and _near(volume, ratio, VOLUME_WHOLE):
        return ratio
    nearest = float(min(RATIOS, key=lambda ratio: abs(jump / float(ratio) - 1)))
    sure = abs(math.log(nearest)) >= SURE
    return nearest if sure and _near(jump, nearest, 1 + OTHER) and _near(volume, nearest, VOLUME_OTHER) else 0.0


def _near(value: float, wanted: float, factor: float) -> bool:
    return bool(1 / factor < value / wanted < factor)  # False for NaN: the usual volume is not known yet


def _first(texts: list[str]) -> str:
    return ", ".join(texts[:NAMED_STOCKS]) + (" …" if len(texts) > NAMED_STOCKS else "")
