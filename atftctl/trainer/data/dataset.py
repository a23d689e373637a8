"""The dataset by day: for each day the sequences of its stocks, their graph and their targets.

The splits by date leave a gap of the longest horizon between them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from atftctl.trainer.config.settings import Data
from atftctl.trainer.config.windows import read_windows
from atftctl.trainer.data.cache import cached, retain, sweep
from atftctl.trainer.data.features import MARKET, RANK, RAW, VERSION, fill_features, fill_targets, names
from atftctl.trainer.data.files import COLUMNS, KEYS, Array
from atftctl.trainer.data.graph import DailyGraph
from atftctl.trainer.data.leak import Leak
from atftctl.trainer.data.panel import Panel, open_prepared, prepared_folder, prepared_panel
from atftctl.trainer.data.synthetic import make_market
from atftctl.trainer.errors import DataError

MISSING_ALLOWED = 3  # days without trade in a sequence
STATISTICS_DAYS = 256  # about a hundred thousand rows, which determine a mean to a third of a percent


@dataclass(frozen=True)
class Day:
    """One day with N stocks, T days of history, F features, K neighbours and H horizons."""

    date: str
    x: torch.Tensor  # [N, T, F] features
    neighbours: torch.Tensor  # [N, K] positions among the day's stocks
    edges: torch.Tensor  # [N, K, 3] attributes: see graph.py
    y: torch.Tensor  # [N, H] ranked future returns, NaN without a future price

    def to(self, device: torch.device) -> Day:
        """Return this day with its tensors on the device."""
        if device.type == "cpu":
            return self
        tensors = (self.x, self.neighbours, self.edges, self.y)
        return Day(self.date, *(tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors))


@dataclass(frozen=True)
class Split:
    """Day numbers of the three splits."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


class Dataset:
    """The panel's features and targets, by day."""

    def __init__(self, settings: Data, cache: Path, prepared: Path | None = None) -> None:
        """Read the panel and prepare features, targets and graph.

        The folder `cache` holds panel, features and targets by their content; with `memory_map` their pages are read
        from there when they are used. What the folder `prepared` holds already is taken from there; nothing is written
        or removed in it. `seconds` holds how long each part took, `notes` and `warnings` what is to be reported of the
        splits. Raises DataError.
        """
        self._settings = settings
        self._prepared = prepared
        self._leak = Leak(mapped=settings.memory_map)  # in a drill only
        self._length = settings.sequence_length
        self.seconds: dict[str, float] = {}
        self.notes: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self._used: set[Path] = set()  # paths in the cache
        sweep(cache)
        with self._timed("panel"):
            self.panel = self._open_panel(cache)
            self.features, self.targets = self._open_arrays(cache)
            retain(cache, self._used)
        self.feature_names = names(self.panel)
        self._usable = _usable(self.panel.close, self._length)
        with self._timed("graph"):
            self._graph = DailyGraph(
                np.ascontiguousarray(self.features[..., RAW.index("return_1")]),
                np.ascontiguousarray(self.features[..., RAW.index("turnover")]),
                settings.graph.window,
                settings.graph.neighbours,
            )
        self.split = self._make_split()

    @property
    def feature_count(self) -> int:
        """Number of features, F."""
        return len(self.feature_names)

    @property
    def ranked(self) -> list[int]:
        """Indices of the features that are ranks across the day's stocks."""
        return [at for at, name in enumerate(self.feature_names) if name.endswith(RANK)]

    def samples(self) -> int:
        """Return the number of pairs of a stock and a day that can be used."""
        return int(self._usable.sum())

    def most_stocks(self) -> int:
        """Return the largest number of stocks of any day."""
        return int(self._usable.sum(axis=1).max())

    def day(self, number: int) -> Day:
        """Return the day with this number, the first day of the panel being 0."""
        self._leak.grow()
        stocks = np.flatnonzero(self._usable[number])
        window = np.asarray(self.features[number - self._length + 1 : number + 1])[:, stocks]
        x = np.nan_to_num(window.transpose(1, 0, 2), copy=False)
        neighbours, edges = self._graph.at(number, stocks)
        y = self.targets[number][stocks]
        return Day(
            self.panel.dates[number],
            *(torch.from_numpy(np.ascontiguousarray(array)) for array in (x, neighbours, edges, y)),
        )

    def training_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation [F] over at most 256 evenly spread training days.

        Normalisation uses them, or starts from them with `online_normalization`.
        """
        days = self.split.train[np.unique(np.linspace(0, len(self.split.train) - 1, STATISTICS_DAYS).astype(int))]
        count, mean, square = 0, np.zeros(self.feature_count), np.zeros(self.feature_count)
        for day in days:
            values = np.nan_to_num(np.asarray(self.features[day])[self._usable[day]]).astype(np.float64)
            count += len(values)
            mean += values.sum(axis=0)
            square += (values**2).sum(axis=0)
        mean /= max(count, 1)
        deviation = np.sqrt(np.maximum(square / max(count, 1) - mean**2, 1e-12))
        return torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32)

    def epoch(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """Return the training days in the order of this epoch.

        The order depends on seed and epoch alone, so that a resumed run repeats it.
        """
        return np.random.default_rng((seed, epoch)).permutation(self.split.train)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[part] = time.monotonic() - begun

    def _open_panel(self, cache: Path) -> Panel:
        settings = self._settings
        if not settings.path:
            return make_market(settings.synthetic)
        path = Path(settings.path)
        reserved = {*KEYS, *COLUMNS, *RAW, MARKET}
        for name in settings.extra_features:
            if name in reserved or name.endswith(RANK):
                raise DataError(f"data.extra_features: {name} is a name of our own features; rename the column")
        extras, mapped = settings.extra_features, settings.memory_map
        folder = prepared_folder(path, cache, extras)
        if self._prepared and (panel := open_prepared(self._prepared / folder.name, extras, mapped=mapped)):
            return panel
        self._used.add(folder)
        return prepared_panel(path, cache, extras=extras, mapped=mapped, folder=folder)

    def _open_arrays(self, cache: Path) -> tuple[Array, Array]:
        panel, horizons, mapped = self.panel, self._settings.horizons, self._settings.memory_map
        where = self._settings.path or "the synthetic market"
        if len(panel.dates) < self._length:
            raise DataError(f"{where}: {len(panel.dates)} days; one sequence needs {self._length} (sequence_length)")
        if len(panel.tickers) < 2:
            raise DataError(f"{where}: one stock only; a forecast of the cross-section needs at least two")
        key = f"v{VERSION}-{panel.digest[:24]}"
        shape = panel.close.shape
        feature_file = cache / f"features-{key}.npy"
        target_file = cache / f"targets-{key}-{'-'.join(map(str, horizons))}.npy"
        self._used |= {feature_file, target_file}
        features = cached(
            feature_file,
            (*shape, len(names(panel))),
            lambda out: fill_features(panel, out),
            mapped=mapped,
            prepared=self._prepared,
        )
        targets = cached(
            target_file,
            (*shape, len(horizons)),
            lambda out: fill_targets(panel, horizons, out),
            mapped=mapped,
            prepared=self._prepared,
        )
        return features, targets

    def _make_split(self) -> Split:
        gap = max(self._settings.horizons)
        dates = np.array(self.panel.dates)
        usable = np.flatnonzero(self._usable.sum(axis=1) > 1)
        if len(usable) < 10:
            raise DataError(
                f"{len(usable)} usable days with at least two stocks; sequences of {self._length} days need more"
            )
        train_end = self._settings.train_end or dates[usable[int(len(usable) * 0.70)]]
        validation_end = self._settings.validation_end or dates[usable[int(len(usable) * 0.85)]]
        first, second = np.searchsorted(dates, [train_end, validation_end], side="right")
        train = self._without_skipped(usable[usable < first - gap])
        validation = usable[(usable >= first) & (usable < second - gap)]
        test = usable[(usable >= second) & (usable < len(dates) - 1)]
        if not len(train) or not len(validation):
            ends = f"train_end {train_end} and validation_end {validation_end}"
            skipping = f", without data.skip {self._settings.skip}" if self._settings.skip else ""
            raise DataError(f"no days to train or validate on with {ends}{skipping}")
        return Split(train, validation, test)

    def _without_skipped(self, days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the training days outside of the windows of `data.skip`, and note how many each of them holds.

        The days themselves stay in the panel: the sequences of later days go through them.
        """
        windows = read_windows("data.skip", self._settings.skip)
        kept = np.ones(len(days), bool)
        for window in windows:
            held = np.array([window.holds(self.panel.dates[day]) for day in days], bool)
            kept &= ~held
            if held.any():
                self.notes += (f"data.skip: {int(held.sum())} days of {window} are not trained on",)
            else:
                self.warnings += (f"data.skip: {window} holds no day of the training split",)
        return days[kept]


def _usable(close: Array, length: int) -> npt.NDArray[np.bool_]:
    """Return [days, stocks]: did the stock trade on that day, and on all but 3 days of the sequence that ends there?"""
    traded = np.isfinite(close)
    seen = np.cumsum(np.pad(traded, ((1, 0), (0, 0))), axis=0, dtype=np.int32)
    usable = np.zeros_like(traded)
    usable[length - 1 :] = traded[length - 1 :] & (seen[length:] - seen[:-length] >= length - MISSING_ALLOWED)
    return usable
