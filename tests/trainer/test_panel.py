"""What real panels look like: halts, delistings, splits, gaps, odd files. Handled, or refused with file, row and
column."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atftctl.trainer.config.settings import Data, SettingsError, Synthetic, from_mapping
from atftctl.trainer.data.cache import cached
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.data.features import LONGEST, fill_features, names
from atftctl.trainer.data.files import COLUMNS
from atftctl.trainer.data.panel import prepared_panel, read_panel
from atftctl.trainer.data.synthetic import make_market
from atftctl.trainer.errors import DataError
from tests.support import warm
from tests.support.projects import ROOT
from tests.trainer.conftest import Make, make_features, take
from tests.trainer.test_data import MARKET, frame

DAYS, STOCKS = 200, 8


def panel_of(rows: pd.DataFrame, folder: Path, name: str = "panel.parquet") -> Path:
    path = folder / name
    rows.to_csv(path, index=False) if path.suffix == ".csv" else rows.to_parquet(path)
    return path


def rows() -> pd.DataFrame:
    return frame(days=DAYS, stocks=STOCKS)


def at(table: pd.DataFrame, day: int, stock: int) -> int:
    return int(table.index[(table["date"] == MARKET.dates[day]) & (table["ticker"] == MARKET.tickers[stock])][0])


def test_halted_days_count_as_days_without_trade(tmp_path: Path) -> None:
    """No price, no volume, no row: the same thing, and the first two are told."""
    table = rows()
    table.loc[at(table, 90, 1), "volume"] = 0
    table.loc[at(table, 90, 2), "close"] = np.nan
    table.loc[at(table, 90, 3), "volume"] = np.nan
    table = table.drop(index=at(table, 90, 4))
    panel = read_panel(panel_of(table, tmp_path))
    assert np.isnan(panel.close[90, 1:5]).all() and np.isnan(panel.volume[90, 1:5]).all()
    assert np.isfinite(panel.close[90, 5:]).all() and np.isfinite(panel.close[91]).all()
    assert panel.notes == (
        "1 rows without a price count as days without trade",
        "2 rows without volume count as days without trade",
    )


def test_new_and_delisted_stocks_are_there_while_they_trade(tmp_path: Path) -> None:
    table = rows()
    late, gone = MARKET.tickers[0], MARKET.tickers[1]
    table = table[~((table["ticker"] == late) & (table["date"] < MARKET.dates[60]))]
    table = table[~((table["ticker"] == gone) & (table["date"] > MARKET.dates[100]))]
    data = Data(path=str(panel_of(table, tmp_path)))
    dataset = Dataset(data, tmp_path / "cache")
    present = {day: len(dataset.day(day).x) for day in (50, 60, 76, 90, 100, 101)}
    assert present == {50: 7, 60: 7, 76: 8, 90: 8, 100: 8, 101: 7}, "in from the 17th day of a sequence of 20 on"
    last = dataset.day(100)
    assert np.isnan(last.y[1].numpy()).all(), "a stock without a future has no target"
    assert np.isfinite(last.x.numpy()).all()


@pytest.mark.parametrize("ratio", [2.0, 5.0, 0.1, 1.5, 7.0, 50.0, 5 / 3, 0.4])
def test_a_split_is_undone_and_a_crash_is_not(tmp_path: Path, ratio: float) -> None:
    whole = read_panel(panel_of(rows(), tmp_path, "whole.parquet"))
    table = rows()
    split = (table["ticker"] == MARKET.tickers[3]) & (table["date"] >= MARKET.dates[80])
    table.loc[split, ["open", "high", "low", "close"]] /= ratio
    table.loc[split, "volume"] *= ratio
    crash = (table["ticker"] == MARKET.tickers[5]) & (table["date"] >= MARKET.dates[80])
    table.loc[crash, ["open", "high", "low", "close"]] *= 0.37
    panel = read_panel(panel_of(table, tmp_path))
    assert panel.notes == (f"1 split undone: {MARKET.tickers[3]} on {MARKET.dates[80]}",)
    assert len(panel.warnings) == 1 and f"{MARKET.tickers[5]} on {MARKET.dates[80]}" in panel.warnings[0]
    assert np.allclose(panel.close[:, 3], whole.close[:, 3], rtol=1e-4)
    assert np.allclose(panel.volume[:, 3], whole.volume[:, 3], rtol=1e-4)
    assert panel.close[80, 5] / panel.close[79, 5] < 0.5


def test_a_split_does_not_change_what_was_known_before_it(tmp_path: Path) -> None:
    table = rows()
    before = make_features(read_panel(panel_of(table, tmp_path, "before.parquet")))
    split = (table["ticker"] == MARKET.tickers[3]) & (table["date"] >= MARKET.dates[80])
    table.loc[split, ["open", "high", "low", "close"]] /= 2
    table.loc[split, "volume"] *= 2
    after = make_features(read_panel(panel_of(table, tmp_path)))
    assert np.array_equal(before[:80], after[:80], equal_nan=True)


def test_extra_columns_are_features_raw_and_ranked(tmp_path: Path, make: Make) -> None:
    table = rows()
    table["sentiment"] = np.random.default_rng(0).normal(size=len(table))
    path = panel_of(table, tmp_path)
    trainer = make(data={"path": str(path), "extra_features": ["sentiment"], "graph": {"neighbours": 3}})
    assert trainer.dataset.feature_names[-2:] == ("sentiment", "sentiment_rank")
    assert trainer.dataset.feature_count == 37
    day = trainer.dataset.day(100)
    wanted = table.loc[at(table, 100, 2), "sentiment"]
    assert float(day.x[2, -1, -2]) == pytest.approx(wanted, rel=1e-5)
    take(trainer, 1)
    with pytest.raises(DataError, match="column mood missing"):
        prepared_panel(path, tmp_path / "cache", extras=["mood"])


def test_features_do_not_depend_on_the_blocks_they_are_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_features(MARKET)
    monkeypatch.setattr("atftctl.trainer.data.features.BLOCK_CELLS", 25 * 7)
    assert np.array_equal(whole, make_features(MARKET), equal_nan=True)
    assert len(names(MARKET)) == whole.shape[-1] == 35 and LONGEST == 60


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_folder_of_files_of_one_kind_is_one_panel(tmp_path: Path, suffix: str) -> None:
    table = rows()
    folder = tmp_path / "panel"
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(table)), 3)):
        panel_of(table.iloc[part], folder, f"part-{number}.{suffix}")
    whole = read_panel(panel_of(table, tmp_path, f"whole.{suffix}"))
    assert read_panel(folder).digest == whole.digest
    mapped = prepared_panel(folder, tmp_path / "cache", mapped=True)
    assert isinstance(mapped.close, np.memmap) and mapped.digest == whole.digest


FOLDERS: dict[str, tuple[list[str], str]] = {
    "two kinds": (["a.csv", "b.parquet"], "side by side"),
    "something else": (["a.csv", "notes.txt"], "notes.txt is neither parquet nor csv"),
    "empty": ([], "a folder without"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_no_panel_is_refused(tmp_path: Path, name: str) -> None:
    files, words = FOLDERS[name]
    folder = tmp_path / "panel"
    folder.mkdir()
    for file in files:
        (folder / file).write_text("date,ticker\n")
    with pytest.raises(DataError, match=words):
        read_panel(folder)


BROKEN: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "an infinite price": (lambda f: f.assign(high=f["high"].where(f.index != 9, np.inf)), "row 10: high is inf"),
    "a word in a column of numbers": (
        lambda f: f.assign(low=f["low"].astype(object).where(f.index != 11, "n/a?")),
        "row 12: column low is not numeric: 'n/a?'",
    ),
    "an empty ticker": (lambda f: f.assign(ticker=f["ticker"].where(f.index != 3)), "row 4: ticker is empty"),
    "an empty date": (lambda f: f.assign(date=f["date"].where(f.index != 3)), "row 4: date is empty"),
    "no date": (
        lambda f: f.assign(date=f["date"].where(f.index != 6, "32 Dec")),
        "row 7: column date: '32 Dec' is no date",
    ),
    "no rows": (lambda f: f.iloc[:0], "no rows"),
    "one stock": (lambda f: f[f["ticker"] == MARKET.tickers[0]], "one stock only"),
    "fewer days than a sequence": (lambda f: f[f["date"] < MARKET.dates[19]], "19 days; one sequence needs 20"),
    "a duplicate far away": (lambda f: pd.concat([f, f.iloc[[7]]]), f"row {DAYS * STOCKS + 1}: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_panel_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    spoil, words = BROKEN[name]
    path = panel_of(spoil(rows()), tmp_path, "panel.csv")
    with pytest.raises(DataError) as caught:
        Dataset(Data(path=str(path)), tmp_path / "cache")
    assert words in str(caught.value) and "panel.csv" in str(caught.value)
    assert not list((tmp_path / "cache").glob("**/.*")), "nothing half-made is left"


@pytest.mark.parametrize("written", ["%Y/%m/%d", "%d %b %Y", "%Y-%m-%d %H:%M:%S"])
def test_dates_written_otherwise_are_read(tmp_path: Path, written: str) -> None:
    table = rows().assign(date=lambda f: pd.to_datetime(f["date"]).dt.strftime(written))
    assert read_panel(panel_of(table, tmp_path, "panel.csv")).dates == MARKET.dates[:DAYS]


@pytest.mark.parametrize("kind", ["int32", "int64", "category", "datetime64[ns]"])
def test_dates_of_other_kinds_are_read(tmp_path: Path, kind: str) -> None:
    """20200131 is a date, not a number of days; a column of pandas' categories is what it stands for."""
    table = rows()
    dates = pd.to_datetime(table["date"])
    table["date"] = dates.dt.strftime("%Y%m%d").astype(kind) if kind.startswith("int") else table["date"].astype(kind)
    assert read_panel(panel_of(table, tmp_path)).dates == MARKET.dates[:DAYS]


def test_what_a_killed_preparation_left_is_swept_away(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / ".panel-v2-x.ab.999999999.tmp").mkdir(parents=True)
    for name in ("old.ab.999999999", "recent.ab.999999999", f"ours.ab.{os.getpid()}"):
        (cache / f".{name}.tmp").write_bytes(b"half")
    for name in (".panel-v2-x.ab.999999999.tmp", ".old.ab.999999999.tmp", f".ours.ab.{os.getpid()}.tmp"):
        os.utime(cache / name, (0, 0))
    Dataset(Data(path=str(panel_of(rows(), tmp_path))), cache)
    left = {one.name for one in cache.glob(".*")}
    assert left == {".recent.ab.999999999.tmp", f".ours.ab.{os.getpid()}.tmp"}, "another container may be at work"


def test_a_cache_that_a_power_cut_left_cut_short_is_made_again(tmp_path: Path) -> None:
    data, cache = Data(path=str(panel_of(rows(), tmp_path)), memory_map=True), tmp_path / "cache"
    whole = np.array(Dataset(data, cache).features)
    for path in (*cache.glob("*.npy"), *cache.glob("panel-*/*")):
        path.write_bytes(path.read_bytes()[: 0 if path.suffix == ".json" else 200])
        assert np.array_equal(Dataset(data, cache).features, whole, equal_nan=True), path.name


def test_a_halted_day_does_not_look_like_a_high(tmp_path: Path) -> None:
    """The highest of the days that there were, for the twenty days after a halt too."""
    table = rows()
    whole = make_features(read_panel(panel_of(table, tmp_path, "whole.parquet")))
    halted = make_features(read_panel(panel_of(table.drop(index=at(table, 90, 4)), tmp_path)))
    for name in ("to_high_20", "to_low_20"):
        column = names(MARKET).index(name)
        after = halted[92:110, 4, column]
        assert (after != 0).mean() > 0.8 and np.isclose(after, whole[92:110, 4, column], atol=0.02).mean() > 0.8


@pytest.mark.parametrize("name", ["turnover", "close", "market_return", "mood_rank"])
def test_an_extra_feature_with_a_name_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    table = rows()
    table[name] = 1.0
    with pytest.raises(DataError, match=f"{name} is a name of our own"):
        Dataset(Data(path=str(panel_of(table, tmp_path)), extra_features=(name,)), tmp_path / "cache")


def test_na_is_a_ticker_and_no_number(tmp_path: Path) -> None:
    table = rows().assign(ticker=lambda f: f["ticker"].replace(MARKET.tickers[0], "NA"))
    table["volume"] = table["volume"].astype(object)
    table.loc[3, "volume"] = "NA"
    panel = read_panel(panel_of(table, tmp_path, "panel.csv"))
    assert panel.tickers[0] == "NA" and np.isnan(panel.volume).sum() == 1


def test_a_numeric_ticker_stays_what_it_is(tmp_path: Path) -> None:
    table = rows().assign(ticker=lambda f: f["ticker"].str.replace("S00", "0"))
    assert read_panel(panel_of(table, tmp_path, "panel.csv")).tickers[1] == "0001"


def test_prepared_is_read_again_without_the_file_being_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = panel_of(rows(), tmp_path)
    first = prepared_panel(path, tmp_path / "cache")
    monkeypatch.setattr("atftctl.trainer.data.rows.read_rows", lambda *_: pytest.fail("parsed again"))
    again = prepared_panel(path, tmp_path / "cache")
    assert again.digest == first.digest and all(
        np.array_equal(getattr(first, name), getattr(again, name), equal_nan=True) for name in COLUMNS
    )


def test_a_mapped_panel_holds_little_memory(tmp_path: Path) -> None:
    """The growth of RssAnon in a process of its own, mapped and held: `bench/streaming.py` does it with 12 million
    rows."""
    program = """
import sys
from pathlib import Path
from atftctl.trainer.data.dataset import Dataset
from atftctl.hooks.reporter import rss_anon_mb
from atftctl.trainer.config.settings import Data
import torch, pandas
mapped = sys.argv[3] == "mapped"
before = rss_anon_mb()
dataset = Dataset(Data(path=sys.argv[1], memory_map=mapped), Path(sys.argv[2]))
for number in dataset.split.train[:20]:
    dataset.day(int(number))
print(rss_anon_mb() - before)
"""
    market = make_market(Synthetic(stocks=200, days=800))
    path = panel_of(frame(market, days=800, stocks=200), tmp_path)
    grown = {}
    for way in ("mapped", "mapped", "held"):  # the first one prepares
        done = warm.run(("-c", program, str(path), str(tmp_path / "cache"), way), cwd=ROOT, env=os.environ)
        done.check_returncode()
        grown[way] = float(done.stdout)
    features_mb = 200 * 800 * 35 * 4 / (1 << 20)
    assert grown["held"] - grown["mapped"] > 0.8 * features_mb, grown


def test_a_full_disk_is_told_and_where_it_can_be_done_without_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room is reserved before a mapped page is written: else the kernel kills with SIGBUS."""
    monkeypatch.setattr("os.posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    shape = (*MARKET.close.shape, 35)
    path = tmp_path / "features.npy"
    with pytest.raises(DataError, match="No space left"):
        cached(path, shape, lambda out: fill_features(MARKET, out), mapped=True)
    held = cached(path, shape, lambda out: fill_features(MARKET, out), mapped=False)
    assert np.array_equal(held, make_features(MARKET), equal_nan=True)
    assert list(tmp_path.iterdir()) == []


def test_a_date_that_is_none_is_a_wrong_setting() -> None:
    for values, words in (
        ({"train_end": "2017"}, "'2017' is no date"),
        ({"train_end": "2018-01-01", "validation_end": "2017-01-01"}, "not after data.train_end"),
        ({"horizons": [1, 1]}, "none twice"),
        ({"extra_features": [3]}, "a list of names"),
    ):
        with pytest.raises(SettingsError, match=words):
            from_mapping({"data": values})
