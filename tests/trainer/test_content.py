"""Market data, checkpoints and metrics as they come: ties, dates, tickers, columns, splits; what a checkpoint means."""

from __future__ import annotations

import errno
import gzip
import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from atftctl import protocol
from atftctl.trainer.config.settings import Data, Synthetic
from atftctl.trainer.data.cache import retain
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.data.dates import Dates
from atftctl.trainer.data.features import average_ranks, fill_targets, rank
from atftctl.trainer.data.panel import make_panel, prepared_panel, read_panel
from atftctl.trainer.data.splits import confirmed_ratio
from atftctl.trainer.data.synthetic import make_market
from atftctl.trainer.errors import CheckpointError, DamagedError, DataError
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training import checkpoint, train_state
from atftctl.trainer.training.evaluation import spearman
from tests.support import SHARED_DATA
from tests.trainer.conftest import Make, take

MARKET = make_market(Synthetic(seed=3, stocks=8, days=130))


def rows() -> pd.DataFrame:
    """The market as a table, one row a stock and day."""
    return pd.DataFrame(
        {
            "date": np.repeat(MARKET.dates, len(MARKET.tickers)),
            "ticker": np.tile(MARKET.tickers, len(MARKET.dates)),
            **{name: getattr(MARKET, name).ravel() for name in ("open", "high", "low", "close", "volume")},
        }
    )


# -- ties ------------------------------------------------------------------------------------------------------------


def test_rankic_is_scipys_spearman_on_ties() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        y = np.round(rng.normal(0, 1, 60), 1)
        for p in (np.arange(60.0), np.round(rng.normal(0, 1, 60), 1), rng.integers(0, 3, 60).astype(float)):
            assert spearman(p, y) == pytest.approx(stats.spearmanr(p, y).statistic, abs=1e-12)


def test_the_tickers_position_forecasts_nothing_on_coarse_prices() -> None:
    """Most returns of a cheap stock are 0; ranked by position they would follow the ticker."""
    rng = np.random.default_rng(1)
    returns = np.where(rng.random(200) < 0.9, 0.0, rng.normal(0, 1, 200))
    assert abs(spearman(np.arange(200.0), returns)) < 0.2


def test_targets_and_features_share_the_ranks_of_equal_values() -> None:
    coarse = {name: np.round(getattr(MARKET, name) / 200) * 200 + 200 for name in ("open", "high", "low", "close")}
    panel = make_panel(MARKET.dates, MARKET.tickers, {**coarse, "volume": MARKET.volume})
    out = np.empty((*panel.close.shape, 1), np.float32)
    fill_targets(panel, (1,), out)
    for day in range(len(panel.dates) - 1):
        future = panel.close[day + 1] / panel.close[day] - 1
        expected = (2 * (stats.rankdata(future) - 0.5) / len(future) - 1) * np.sqrt(3)
        assert np.allclose(out[day, :, 0], expected, atol=1e-6)
    values = np.array([[1.0, 1.0, np.nan, 0.0, 1.0]], np.float32)
    ranked = rank(values)[0]
    assert ranked[0] == ranked[1] == ranked[4] > ranked[3] and np.isnan(ranked[2])
    assert np.array_equal(average_ranks(values[:, [0, 1, 3, 4]])[0] + 1, stats.rankdata([1, 1, 0, 1]))


# -- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("written", ["{}T00:00:00+09:00", "{} 00:30:00+0900", "{}T15:00:00-05:00", "{}T00:00:00Z"])
def test_a_date_with_an_offset_is_the_day_that_is_written(tmp_path: Path, written: str, suffix: str) -> None:
    table = rows().assign(date=lambda f: f["date"].map(written.format))
    path = tmp_path / f"panel.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    assert read_panel(path).dates == MARKET.dates


def test_a_timestamp_with_a_zone_is_the_local_day(tmp_path: Path) -> None:
    table = rows().assign(date=lambda f: pd.to_datetime(f["date"]).dt.tz_localize("Asia/Tokyo"))
    table.to_parquet(tmp_path / "panel.parquet")
    assert read_panel(tmp_path / "panel.parquet").dates == MARKET.dates


@pytest.mark.parametrize("kind", ["float64", "int64", "string"])
def test_dates_as_numbers(tmp_path: Path, kind: str) -> None:
    table = rows().assign(
        date=lambda f: f["date"].str.replace("-", "").astype("float64" if kind == "float64" else kind)
    )
    table.to_parquet(tmp_path / "panel.parquet")
    assert read_panel(tmp_path / "panel.parquet").dates == MARKET.dates


@pytest.mark.parametrize("number", [18262.0, 20200131.5, 3.0])
def test_a_number_that_is_no_date_is_refused(tmp_path: Path, number: float) -> None:
    rows().assign(date=number).to_parquet(tmp_path / "panel.parquet")
    with pytest.raises(DataError, match="row 1: column date"):
        read_panel(tmp_path / "panel.parquet")


@pytest.mark.parametrize("written", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y"])
def test_days_and_months_of_one_file_are_told_apart_by_the_whole_of_it(tmp_path: Path, written: str) -> None:
    table = rows().assign(date=lambda f: pd.to_datetime(f["date"]).dt.strftime(written))
    path = tmp_path / "panel.csv"
    table.to_csv(path, index=False)
    if written.endswith("%y"):
        with pytest.raises(DataError, match="has a year of two digits"):
            read_panel(path)
        return
    assert read_panel(path).dates == MARKET.dates


@pytest.mark.parametrize("written", ["%d/%m/%Y", "%m/%d/%Y"])
def test_what_two_readings_fit_is_refused(tmp_path: Path, written: str) -> None:
    """One file a day: the third of April is the fourth of March to the next reader."""
    folder = tmp_path / "days"
    folder.mkdir()
    table = rows()
    for number, (day, part) in enumerate(table[table["date"].isin(MARKET.dates[60:75])].groupby("date")):
        written_day = pd.Timestamp(str(day)).strftime(written)
        part.assign(date=written_day).to_csv(folder / f"{number:02}.csv", index=False)
    with pytest.raises(DataError, match=r"column date: '.*' can be .* or .*; write it as"):
        read_panel(folder)


@pytest.mark.parametrize(
    "words",
    [
        ["31/01/2020 5pm", "01/02/2020 5pm"],
        ["Fri 31/01/2020", "Sat 01/02/2020"],
        ["10:30 2020"],
        ["5/2020"],
        ["2020Q1"],
        ["Jan 2020"],
        ["31/12/99", "04/01/00"],
        ["18262"],
        ["2020-13-01"],
        ["31 Foo 2020"],
    ],
)
def test_what_is_no_whole_date_is_refused(words: list[str]) -> None:
    assert Dates().read(words).wrong is not None


@pytest.mark.parametrize(
    "words",
    [
        ["31 01 2020", "01 02 2020"],
        ["31 Jan 2020", "1 February 2020"],
        ["January 31, 2020", "Feb 1 2020"],
        ["Fri, 31 Jan 2020", "Sat, 01 Feb 2020"],
        ["20200131", "20200201"],
        ["31-Jan-2020", "01-Feb-2020"],
        ["2020/1/31 09:00", "2020/2/1 09:00"],
    ],
)
def test_days_that_are_written_out(words: list[str]) -> None:
    assert [str(day) for day in Dates().read(words).days] == ["2020-01-31", "2020-02-01"]


def test_one_file_keeps_one_order() -> None:
    dates = Dates()
    assert dates.read(["31/01/2020"]).wrong is None
    assert [str(day) for day in dates.read(["01/02/2020"]).days] == ["2020-02-01"]
    assert dates.read(["01/31/2020"]).wrong == 0


# -- tickers, columns, files -----------------------------------------------------------------------------------------


def test_a_number_beside_the_same_number_with_zeros_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "panel"
    folder.mkdir()
    table = rows()
    numbers = {ticker: number + 80 for number, ticker in enumerate(MARKET.tickers)}
    early, late = table[table["date"] < MARKET.dates[60]], table[table["date"] >= MARKET.dates[60]]
    early.assign(ticker=early["ticker"].map(numbers)).to_parquet(folder / "1.parquet")
    late.assign(ticker=late["ticker"].map(numbers).astype(str).str.zfill(4)).to_parquet(folder / "2.parquet")
    with pytest.raises(DataError, match="0080 and 80 are one number"):
        read_panel(folder)


def test_tickers_that_became_floats_are_whole_numbers(tmp_path: Path) -> None:
    table = rows().assign(ticker=lambda f: f["ticker"].str[1:].astype(float) + 1301)
    table.to_parquet(tmp_path / "panel.parquet")
    assert read_panel(tmp_path / "panel.parquet").tickers[0] == "1301"


@pytest.mark.parametrize("written", ["{}.0", " {}", "{} "])
def test_one_stock_written_otherwise_in_a_csv_is_one_stock(tmp_path: Path, written: str) -> None:
    table = rows().assign(ticker=lambda f: f["ticker"].str[1:].astype(int).add(1301).astype(str))
    late = table["date"] >= MARKET.dates[60]
    table.loc[late, "ticker"] = table.loc[late, "ticker"].map(written.format)
    table.to_csv(tmp_path / "panel.csv", index=False)
    assert len(read_panel(tmp_path / "panel.csv").tickers) == len(MARKET.tickers)


def test_a_ticker_that_is_no_number_is_empty(tmp_path: Path) -> None:
    table = rows().assign(ticker=lambda f: f["ticker"].str[1:].astype(float))
    table.loc[5, "ticker"] = np.nan
    table.to_parquet(tmp_path / "panel.parquet")
    with pytest.raises(DataError, match="row 6: ticker is empty"):
        read_panel(tmp_path / "panel.parquet")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = rows()
    text = table.assign(again=table["close"]).to_csv(index=False).replace("again", "close", 1)
    (tmp_path / "panel.csv").write_text(text)
    with pytest.raises(DataError, match="column close appears twice"):
        read_panel(tmp_path / "panel.csv")


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("column", ["P/E", "../up", "a b", "配当"])
def test_an_extra_column_of_any_name(tmp_path: Path, column: str, mapped: bool) -> None:
    path = tmp_path / "panel.parquet"
    rows().assign(**{column: 1.5}).to_parquet(path)
    panel = prepared_panel(path, tmp_path / "cache", extras=(column,), mapped=mapped)
    assert np.nanmax(panel.extras[column]) == 1.5
    assert {one.name for one in tmp_path.iterdir()} == {"panel.parquet", "cache"}


@pytest.mark.parametrize("value", ["１２３", "1_000", "12,5", "n/a"])
def test_the_row_of_what_is_no_number_is_right(tmp_path: Path, value: str) -> None:
    table = rows().astype({"close": object})
    table.loc[77, "close"] = value
    table.to_csv(tmp_path / "panel.csv", index=False)
    with pytest.raises(DataError, match=f"row 78: column close is not numeric: '{value}'"):
        read_panel(tmp_path / "panel.csv")


@pytest.mark.parametrize("name", ["panel.csv.gz", "panel.CSV", "panel.PARQUET", "panel.Csv.Gz"])
def test_files_are_known_by_their_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if "parquet" in name.lower():
        rows().to_parquet(path)
    else:
        text = rows().to_csv(index=False).encode()
        path.write_bytes(gzip.compress(text) if name.lower().endswith(".gz") else text)
    assert read_panel(path).tickers == MARKET.tickers
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / name)
    assert read_panel(folder).dates == MARKET.dates


@pytest.mark.parametrize("volume", [0.0, np.nan])
def test_no_volume_at_all_is_said(tmp_path: Path, volume: float) -> None:
    rows().assign(volume=volume).to_parquet(tmp_path / "panel.parquet")
    with pytest.raises(DataError, match="no row has a volume"):
        read_panel(tmp_path / "panel.parquet")


@pytest.mark.parametrize(
    ("jump", "volume", "ratio"),
    [
        (2.0, 2.1, 2.0),
        (0.5, 0.4, 0.5),
        (7.03, 6.0, 7.0),
        (100.0, 90.0, 100.0),
        (0.001, 0.0011, 0.001),
        (1.5, 1.4, 1.5),
        (2.5, 2.6, 2.5),
        (1.2, 1.2, 0),
        (4 / 3, 1.3, 0),
        (5 / 3, 1.6, 5 / 3),
        (2 / 3, 0.7, 2 / 3),
        (2.0, 6.0, 0),
        (1.5, 4.0, 0),
        (1.5, 0.9, 0),
        (1.53, 1.5, 0),
        (1.0, 1.0, 0),
        (2.0, float("nan"), 0),
    ],
)
def test_a_split_is_what_open_and_volume_confirm(jump: float, volume: float, ratio: float) -> None:
    assert confirmed_ratio(jump, volume) == pytest.approx(ratio)


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the Tokyo prices are not beside this checkout (../shared/data)")
def test_adjusted_real_prices_have_no_splits() -> None:
    """Earthquakes, limit-downs and rebounds are left alone, and the largest jumps are told."""
    panel = read_panel(SHARED_DATA)
    assert panel.notes == () and "may be a split, left as found" in panel.warnings[0]


# -- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(make: Make) -> Any:
    trainer = make()
    take(trainer, 2)
    assert trainer.save(protocol.LAST)
    take(trainer, 1)
    assert trainer.save(protocol.LAST)
    return trainer


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "no memory"), OSError(errno.EMFILE, "files")])
def test_a_good_checkpoint_stays_where_it_is_when_it_cannot_be_read_now(
    trained: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    before = (trained.root / protocol.LAST).read_bytes()
    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises((MemoryError, CheckpointError)) as caught:
        trained.resume("last")
    assert not isinstance(caught.value, DamagedError)
    assert (trained.root / protocol.LAST).read_bytes() == before
    assert not (trained.root / protocol.DAMAGED).exists()


def test_the_words_of_torch_for_no_memory_are_not_damage(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(RuntimeError, match="can't allocate"):
        trained.resume("last")
    assert (trained.root / protocol.LAST).exists() and not (trained.root / protocol.DAMAGED).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"synthetic": {"seed": 9}}},
        {"data": {"horizons": [1, 5]}},
        {"data": {"validation_end": "2015-11-30"}},
    ],
)
def test_the_best_of_other_data_horizons_or_dates_is_not_kept(make: Make, changes: dict[str, Any]) -> None:
    first = make(data={"horizons": [1, 5, 10]})
    take(first, 1)
    first.progress.best = 0.9
    assert first.save(protocol.LAST)
    saved = checkpoint.load(first.root / protocol.LAST)
    same = make(data={"horizons": [1, 5, 10]})
    assert train_state.load_state(saved, same.parts, same.recorder).best == 0.9
    data = {"horizons": [1, 5, 10], **changes["data"]}
    other = make(data=data)
    found = train_state.load_state(checkpoint.load(first.root / protocol.LAST), other.parts, other.recorder)
    assert found.best == float("-inf") and found.step == 1


def test_outputs_are_mapped_by_the_names_of_the_horizons(make: Make) -> None:
    first = make(data={"horizons": [1, 5, 10]})
    take(first, 3)
    assert first.save(protocol.LAST)
    saved = checkpoint.load(first.root / protocol.LAST)
    day = first.dataset.day(first.evaluation_days(1)[0])
    first.parts.model.eval()
    expected = first.parts.model(day)
    for horizons in ([5, 1, 10], [10], [10, 5]):
        other = make(data={"horizons": horizons})
        train_state.load_state(saved, other.parts, other.recorder)
        other.parts.model.eval()
        at = [[1, 5, 10].index(one) for one in horizons]
        assert torch.allclose(other.parts.model(day), expected[:, at], atol=1e-6)
    unknown = make(data={"horizons": [1, 5, 20]})
    with pytest.raises(CheckpointError, match="forecasts 1, 5, 10 days ahead, and not 20"):
        train_state.load_state(saved, unknown.parts, unknown.recorder)


def test_averaged_weights_are_mapped_with_the_others(make: Make) -> None:
    ema = {"improvements": {"use_ema": True}, "ema": {"enabled": True, "decay": 0.5}}
    first = make(data={"horizons": [1, 5]}, **ema)
    take(first, 3)
    assert first.save(protocol.LAST)
    other = make(data={"horizons": [5]}, **ema)
    train_state.load_state(checkpoint.load(first.root / protocol.LAST), other.parts, other.recorder)
    averaged, mapped = (one.parts.ema.model.state_dict()["head.outer.bias"] for one in (first, other))
    assert torch.equal(averaged[[1]], mapped)
    assert not torch.equal(mapped, other.parts.model.state_dict()["head.outer.bias"])


def test_other_features_of_the_same_number_are_refused(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "panel.parquet"
    rows().assign(alpha=1.0, beta=2.0).to_parquet(path)
    made = {
        name: make(data={"path": str(path), "extra_features": [name], "horizons": [1]}) for name in ("alpha", "beta")
    }
    take(made["alpha"], 1)
    assert made["alpha"].save(protocol.LAST)
    saved = checkpoint.load(made["alpha"].root / protocol.LAST)
    with pytest.raises(CheckpointError, match="other features: without beta, beta_rank; with alpha, alpha_rank"):
        train_state.load_state(saved, made["beta"].parts, made["beta"].recorder)


# -- what is written -------------------------------------------------------------------------------------------------


def test_metrics_of_other_horizons_begin_a_file_of_their_own(tmp_path: Path) -> None:
    Recorder(tmp_path, (1, 5)).metrics({"step": 1, "rankic_h5": 0.5})
    Recorder(tmp_path, (1, 5)).metrics({"step": 2, "rankic_h5": 0.5})
    Recorder(tmp_path, (1, 20)).metrics({"step": 3, "rankic_h20": 0.2})
    Recorder(tmp_path, (1,)).metrics({"step": 4})
    path = tmp_path / protocol.METRICS
    tables = [pd.read_csv(one) for one in (path.with_name("metrics.csv.1"), path.with_name("metrics.csv.2"), path)]
    assert [list(table["step"]) for table in tables] == [[1, 2], [3], [4]]
    assert list(tables[1]["rankic_h20"]) == [0.2]


def test_what_was_left_half_saved_is_swept(make: Make) -> None:
    trainer = make()
    models = trainer.root / "models"
    models.mkdir(exist_ok=True)
    old, young, living = (models / f".last.pth.{pid}.tmp" for pid in (999_999_999, 999_999_998, os.getpid()))
    for path in (old, young, living):
        path.write_bytes(b"half")
    for path in (old, living):
        os.utime(path, (time.time() - 7200,) * 2)
    trainer.resume("scratch")
    assert not old.exists() and young.exists() and living.exists()


def test_the_cache_keeps_what_is_used_and_what_is_young(tmp_path: Path) -> None:
    names = [f"features-v4-{number}.npy" for number in range(5)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (time.time() - 86400 * 10 * number,) * 2)
    folder = tmp_path / "panel-v3-x"
    folder.mkdir()
    (folder / "close.npy").write_bytes(bytes(1000))
    os.utime(folder, (time.time() - 86400 * 40,) * 2)
    retain(tmp_path, [tmp_path / names[4]])
    assert {path.name for path in tmp_path.iterdir()} == {*names[:3], names[4]} | (
        {names[3]} & set(os.listdir(tmp_path))
    )
    assert not folder.exists()
    retain(tmp_path, [tmp_path / names[4]], kept_bytes=2500)
    assert {path.name for path in tmp_path.iterdir()} == {names[0], names[4]}


def test_a_dataset_keeps_its_own_cache(tmp_path: Path) -> None:
    rows().to_parquet(tmp_path / "panel.parquet")
    cache = tmp_path / "cache"
    for sequence in (20, 10):
        Dataset(Data(path=str(tmp_path / "panel.parquet"), sequence_length=sequence, horizons=(1,)), cache)
    assert sorted(itertools.chain(path.name.split("-")[0] for path in cache.iterdir())) == [
        "features",
        "panel",
        "targets",
    ]


# -- the linear path -------------------------------------------------------------------------------------------------


def test_a_run_from_scratch_starts_at_the_ridge_solution(make: Make) -> None:
    """Against the solution by scikit-like normal equations on all rows at once, and better than nothing."""
    trainer = make(
        data={"synthetic": {"stocks": 30, "days": 220, "rankic": 0.3}, "graph": {"neighbours": 5, "window": 20}}
    )
    peers, model = trainer.parts.model.peers, trainer.parts.model
    assert not peers.linear.weight.any()
    trainer.resume("scratch")
    rows_x, rows_y = [], []
    with torch.no_grad():
        for number in trainer.dataset.split.train:
            day = trainer.dataset.day(int(number))
            known = torch.isfinite(day.y[:, 0])
            rows_x.append(peers.inputs(model.normalise(day.x[:, -1]), day.neighbours)[known].double())
            rows_y.append(day.y[known, 0].double())
    x, y = torch.cat(rows_x), torch.cat(rows_y)
    expected = torch.linalg.solve(x.T @ x + 0.01 * len(y) * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)
    assert torch.allclose(peers.linear.weight[0].double() * 0.1, expected, atol=1e-5)
    assert trainer.evaluate(10**6).mean(1) > 0.1


def test_a_resumed_run_keeps_what_it_learned(make: Make) -> None:
    trainer = make()
    trainer.resume("scratch")
    take(trainer, 2)
    assert trainer.save(protocol.LAST)
    learned = trainer.parts.model.peers.linear.weight.clone()
    other = make(root=trainer.root)
    other.resume("last")
    assert torch.equal(other.parts.model.peers.linear.weight, learned)
