"""Share splits that a panel's prices still show: undone where open and volume confirm them, else told of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.files import PRICES, Array

# A split is n new shares for m old ones. Whole numbers up to 1,000 and their inverses occur; of the rest, small ones.
PARTS = 7  # of n-for-m, where neither is 1
WHOLE, OTHER = 0.02, 0.01  # how near the open must be to the ratio: a whole one stands further from its neighbours
VOLUME_WHOLE, VOLUME_OTHER = 2.0, 1.5  # and how near the volume: after a crash it is several times the usual
SMALLEST = 0.15  # of |log| of the jump that is looked at: 6 for 5 is 0.18
SUSPECT = 0.35  # of one that nothing confirms and that is told of: 30 % down, 42 % up
# Of |log| of the ratio. In eleven years of adjusted Tokyo prices fifty earthquakes, limit-downs and rebounds lie within
# 1 % of 4:3, 7:5, 6:5 and the like, on days of ordinary volume; none lies at 3:2 or beyond.
SURE = 0.39
FEW = 20  # prices of so few whole units move in ratios by themselves
RATIOS = sorted({Fraction(n, m) for n in range(2, PARTS + 1) for m in range(2, PARTS + 1) if n != m})
NAMED_STOCKS = 3  # stocks are named in a note


SplitReport = tuple[tuple[str, ...], tuple[str, ...]]  # what was undone, and which jumps look like a split unconfirmed


def undo_splits(days: npt.NDArray[np.int64], tickers: tuple[str, ...], grids: Mapping[str, Array]) -> SplitReport:
    """A stock that opens at m/n of its last close, while its volume answers by n/m, was split, not sold off.

    `grids` [days, stocks] are changed in place. The days from then on are brought to the scale of before, and not the
    other way round: so that nothing that was known on a day changes with what comes later. A panel that is adjusted
    already is left alone.
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
    warnings = (f"{jumps} that may be a split, left as found: {_first(doubtful)}",) if doubtful else ()
    return notes, warnings


def confirmed_ratio(jump: float, volume: float) -> float:
    """n/m where the open says so (`jump` is the last close by the open) and the volume, by its usual one, too; 0
    elsewhere."""
    whole = round(jump) if jump > 1 else round(1 / jump)
    ratio = float(whole) if jump > 1 else 1 / max(whole, 1)
    if 2 <= whole <= 1000 and _near(jump, ratio, 1 + WHOLE) and _near(volume, ratio, VOLUME_WHOLE):
        return ratio
    nearest = float(min(RATIOS, key=lambda one: abs(jump / float(one) - 1)))
    sure = abs(math.log(nearest)) >= SURE
    return nearest if sure and _near(jump, nearest, 1 + OTHER) and _near(volume, nearest, VOLUME_OTHER) else 0.0


def _near(value: float, wanted: float, factor: float) -> bool:
    return bool(1 / factor < value / wanted < factor)  # False for NaN: no usual volume yet


def _first(found: list[str]) -> str:
    return ", ".join(found[:NAMED_STOCKS]) + (" …" if len(found) > NAMED_STOCKS else "")
