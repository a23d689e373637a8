"""Market data as it comes: ties, dates, tickers, columns, share splits."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from atftctl.trainer.data.dates import Dates
from atftctl.trainer.data.features import average_ranks, fill_targets, rank
from atftctl.trainer.data.panel import make_panel, prepared_panel, read_panel
from atftctl.trainer.data.splits import confirmed_ratio
from atftctl.trainer.errors import DataError
from atftctl.trainer.training.evaluation import spearman
from tests.support.projects import SHARED_DATA
from tests.trainer.market import MARKET, rows

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
    assert panel.notes == () and "may be a split, not changed" in panel.warnings[0]
