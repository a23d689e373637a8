"""Data without look-ahead: nothing that the model sees at t changes when the future does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from atftctl.trainer.config.settings import Synthetic
from atftctl.trainer.data.features import fill_targets, rank
from atftctl.trainer.data.files import COLUMNS
from atftctl.trainer.data.graph import DailyGraph
from atftctl.trainer.data.panel import Panel, make_panel, prepared_panel, read_panel
from atftctl.trainer.data.synthetic import make_market
from atftctl.trainer.errors import DataError
from atftctl.trainer.training.evaluation import spearman
from tests.trainer.conftest import IMPROVED, Make, make_features, take

MARKET = make_market(Synthetic(seed=3, stocks=25, days=200, rankic=0.3))


def with_other_future(day: int) -> Panel:
    rng = np.random.default_rng(0)
    grids = {}
    for name in COLUMNS:
        grid = getattr(MARKET, name).copy()
        grid[day + 1 :] *= np.exp(rng.normal(0, 0.5, grid[day + 1 :].shape)).astype(np.float32)
        grids[name] = grid
    return make_panel(MARKET.dates, MARKET.tickers, grids)


@pytest.mark.parametrize("day", [30, 100, 150])
def test_features_do_not_know_the_future(day: int) -> None:
    now, other = make_features(MARKET), make_features(with_other_future(day))
    assert np.array_equal(now[: day + 1], other[: day + 1], equal_nan=True)
    assert not np.array_equal(now[day + 1 :], other[day + 1 :], equal_nan=True)


def test_the_graph_does_not_know_the_future() -> None:
    rng = np.random.default_rng(1)
    returns = rng.normal(0, 1, (100, 12)).astype(np.float32)
    stocks = np.arange(12)
    first = DailyGraph(returns, returns, 30, 4).at(50, stocks)
    changed = returns.copy()
    changed[51:] = 9
    second = DailyGraph(changed, changed, 30, 4).at(50, stocks)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    strongest = np.argsort(-np.corrcoef(returns[21:51].T) + 2 * np.eye(12), axis=1)[:, :4]
    assert all(set(a) == set(b) for a, b in zip(first[0], strongest, strict=True))


@pytest.mark.parametrize("mapped", [False, True])
def test_predictions_of_today_are_bit_identical_under_another_future(make: Make, tmp_path: Path, mapped: bool) -> None:
    """From the file to the prediction: every price and volume after the day is another one, some stocks are gone."""
    day = 150
    predictions = []
    for name, market in (("now", MARKET), ("other", with_other_future(day))):
        path = tmp_path / f"{name}.parquet"
        rows = frame(market, days=200, stocks=25)
        if name == "other":
            rows = rows[(rows["date"] <= MARKET.dates[day]) | (rows["ticker"] < MARKET.tickers[20])]
        rows.to_parquet(path)
        trainer = make(
            data={
                "path": str(path),
                "train_end": MARKET.dates[110],
                "validation_end": MARKET.dates[170],
                "memory_map": mapped,
                "graph": {"neighbours": 5, "window": 20},
            },
            **{key: value for key, value in IMPROVED.items() if key != "data"},
        )
        take(trainer, 2)
        trainer.parts.model.eval()
        with torch.no_grad():
            predictions.append(trainer.parts.model(trainer.dataset.day(day)))
    assert torch.equal(*predictions)


def test_targets_are_the_future() -> None:
    ranked = np.empty((*MARKET.close.shape, 2), np.float32)
    fill_targets(MARKET, (1, 5), ranked)
    future = MARKET.close[5:] / MARKET.close[:-5] - 1
    assert spearman(ranked[10, :, 1], future[10]) == pytest.approx(1.0)
    assert np.isnan(ranked[-1]).all() and np.isnan(ranked[-5:, :, 1]).all()
    assert np.nanvar(ranked[10, :, 0]) == pytest.approx(1.0, abs=0.05)


def test_ranks_leave_out_what_did_not_trade() -> None:
    found = rank(np.array([[3.0, np.nan, 1.0, 2.0]], np.float32))
    assert np.isnan(found[0, 1])
    assert list(np.argsort(found[0, [2, 3, 0]])) == [0, 1, 2]
    assert np.nansum(found) == pytest.approx(0, abs=1e-6)


def test_splits_leave_a_gap_of_the_longest_horizon(make: Make) -> None:
    split = make().dataset.split
    assert split.validation[0] - split.train[-1] > 20 and split.test[0] - split.validation[-1] > 20


def test_spearman_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=50), rng.normal(size=50)
    assert spearman(left, right) == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-6)
    assert np.isnan(spearman(np.ones(50), right)) and np.isnan(spearman(left[:4], right[:4]))


def test_the_trainer_finds_the_planted_signal_and_nothing_in_shuffled_labels(make: Make) -> None:
    """RankIC after a short training is well above its error with the signal, and within it without."""

    def rankic(shuffle: bool) -> tuple[float, float]:
        trainer = make(
            data={"synthetic": {"stocks": 60, "days": 400, "rankic": 0.4}},
            scheduler={"warmup_steps": 10},
            optimizer={"lr": 3e-3},
        )
        if shuffle:
            rng = np.random.default_rng(5)
            for row in trainer.dataset.targets:
                rng.shuffle(row)
        take(trainer, 150)
        values = list(trainer.evaluate(1000).rankic[1].values())
        return float(np.mean(values)), float(np.std(values) / len(values) ** 0.5)

    mean, error = rankic(shuffle=False)
    assert mean > 0.15 and mean > 5 * error, (mean, error)
    mean, error = rankic(shuffle=True)
    assert abs(mean) < 4 * error, (mean, error)


def frame(market: Panel = MARKET, days: int = 60, stocks: int = 4) -> pd.DataFrame:
    rows = [
        (date, ticker, *(float(getattr(market, name)[i, j]) for name in COLUMNS))
        for i, date in enumerate(market.dates[:days])
        for j, ticker in enumerate(market.tickers[:stocks])
    ]
    return pd.DataFrame(rows, columns=["date", "ticker", *COLUMNS])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_panel_is_read_whatever_the_order_of_its_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"panel.{suffix}"
    shuffled = frame().sample(frac=1, random_state=0)
    shuffled.to_csv(path, index=False) if suffix == "csv" else shuffled.to_parquet(path)
    panel = read_panel(path)
    assert panel.dates == MARKET.dates[:60] and panel.tickers == MARKET.tickers[:4]
    assert np.allclose(panel.close, MARKET.close[:60, :4], rtol=1e-5)
    first, second = prepared_panel(path, tmp_path / "cache"), prepared_panel(path, tmp_path / "cache")
    assert first.digest == second.digest == panel.digest
    assert np.array_equal(first.volume, second.volume)


BROKEN = {
    "missing column": (lambda f: f.drop(columns="volume"), "column volume missing"),
    "duplicate row": (lambda f: pd.concat([f, f.iloc[[7]]]), "row 241"),
    "price of zero": (lambda f: f.assign(close=f["close"].where(f.index != 5, 0.0)), "row 6: close is 0"),
    "negative volume": (lambda f: f.assign(volume=f["volume"].where(f.index != 2, -1.0)), "row 3: volume is -1"),
    "words": (lambda f: f.assign(open="x"), "column open is not numeric"),
    "no date": (lambda f: f.assign(date="someday"), "column date"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_panel_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    spoil, words = BROKEN[name]
    path = tmp_path / "panel.csv"
    spoil(frame()).to_csv(path, index=False)
    with pytest.raises(DataError) as caught:
        read_panel(path)
    assert words in str(caught.value) and "panel.csv" in str(caught.value)


def test_a_folder_and_a_file_that_is_no_panel(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder"):
        read_panel(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="can't be read"):
        read_panel(tmp_path / "x.parquet")
