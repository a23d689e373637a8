"""One batch is one day: sequences of its stocks, their graph, their targets. Splits leave a gap of the longest
horizon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from atftctl.trainer.data.features import COUNT, RAW, VERSION, make_features, make_targets
from atftctl.trainer.data.graph import DailyGraph
from atftctl.trainer.data.panel import Array, DataError, Panel, prepared_panel
from atftctl.trainer.data.synthetic import make_market
from atftctl.trainer.settings import Data

MISSING_ALLOWED = 3  # days without trade in a sequence


@dataclass(frozen=True)
class Day:
    """x [N, T, F], neighbours [N, K], edges [N, K, 3], y [N, H] (NaN without a future), raw returns beside it."""

    date: str
    x: torch.Tensor
    neighbours: torch.Tensor
    edges: torch.Tensor
    y: torch.Tensor

    def to(self, device: torch.device) -> Day:
        if device.type == "cpu":
            return self
        moved = (
            one.pin_memory().to(device, non_blocking=True) for one in (self.x, self.neighbours, self.edges, self.y)
        )
        return Day(self.date, *moved)


@dataclass(frozen=True)
class Split:
    """Day numbers of the three splits."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


class Dataset:
    """The panel's features and targets, by day."""

    def __init__(self, settings: Data, cache: Path) -> None:
        """Raises DataError. `cache` holds features by content; with `memory_map` they are read from there page by
        page."""
        self.panel: Panel = (
            prepared_panel(Path(settings.path), cache) if settings.path else make_market(settings.synthetic)
        )
        self._settings = settings
        self._length = settings.sequence_length
        self.features = _cached_features(self.panel, cache, mapped=settings.memory_map)
        self.targets = make_targets(self.panel, settings.horizons)
        traded = np.isfinite(self.panel.close)
        enough = (
            np.lib.stride_tricks.sliding_window_view(traded, self._length, axis=0).sum(axis=-1)
            if len(traded) >= self._length
            else np.zeros((0, traded.shape[1]), int)
        )
        self._usable = np.zeros_like(traded)
        self._usable[self._length - 1 :] = traded[self._length - 1 :] & (enough >= self._length - MISSING_ALLOWED)
        returns = np.asarray(self.features[..., RAW.index("return_1")])
        self._graph = DailyGraph(
            returns,
            np.asarray(self.features[..., RAW.index("turnover")]),
            settings.graph.window,
            settings.graph.neighbours,
        )
        self.split = self._make_split()

    @property
    def feature_count(self) -> int:
        return COUNT

    def samples(self) -> int:
        return int(self._usable.sum())

    def day(self, number: int) -> Day:
        stocks = np.flatnonzero(self._usable[number])
        window = np.asarray(self.features[number - self._length + 1 : number + 1])[:, stocks]
        x = np.nan_to_num(np.ascontiguousarray(window.transpose(1, 0, 2)))
        neighbours, edges = self._graph.at(number, stocks)
        y = self.targets[number][stocks]
        return Day(
            self.panel.dates[number],
            *(torch.from_numpy(np.ascontiguousarray(one)) for one in (x, neighbours, edges, y)),
        )

    def training_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation [F] of the training days; what normalisation uses unless it learns while
        streaming."""
        days = self.split.train
        total, square, count = np.zeros(COUNT), np.zeros(COUNT), 0
        for block in np.array_split(days, max(1, len(days) // 64)):
            values = np.asarray(self.features[block])[self._usable[block]].astype(np.float64)
            values = np.nan_to_num(values)
            total += values.sum(axis=0)
            square += (values**2).sum(axis=0)
            count += len(values)
        mean = total / max(count, 1)
        deviation = np.sqrt(np.maximum(square / max(count, 1) - mean**2, 1e-12))
        return torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32)

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
        train = usable[usable < first - gap]
        validation = usable[(usable >= first) & (usable < second - gap)]
        test = usable[(usable >= second) & (usable < len(dates) - 1)]
        if not len(train) or not len(validation):
            raise DataError(
                f"no days to train or to validate on with train_end {train_end}, validation_end {validation_end}"
            )
        return Split(train, validation, test)

    def epoch(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """The training days in this epoch's order; a function of seed and epoch alone, so that a resumed run
        repeats it."""
        return np.random.default_rng((seed, epoch)).permutation(self.split.train)

    def days(self, numbers: npt.NDArray[np.int64]) -> Iterator[Day]:
        for number in numbers:
            yield self.day(int(number))


def _cached_features(panel: Panel, cache: Path, *, mapped: bool) -> Array:
    path = cache / f"features-v{VERSION}-{panel.digest[:24]}.npy"
    if not path.exists():
        features = make_features(panel)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            temp = path.with_name(f"{path.name}.{os.getpid()}.tmp.npy")
            np.save(temp, features)
            temp.replace(path)
        except OSError:
            if mapped:
                raise
            return features
        if not mapped:
            return features
    return np.load(path, mmap_mode="r" if mapped else None)
