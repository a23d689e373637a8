"""Curves as text and as SVG: a spike stays, what is not finite is marked, and nothing that is measured breaks them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from atftctl.cli.render import curves, svg
from atftctl.cli.render.curves import Charset, plot, spark
from atftctl.domain.curve import Curve, number_text, quality_curves, rolling, scale_of

CHARSETS: tuple[Charset, ...] = ("braille", "ascii")
NS = "{http://www.w3.org/2000/svg}"


def curve(*ys: float, title: str = "loss", ends: tuple[str, str] = ("", "")) -> Curve:
    return Curve(title, [float(x) for x in range(len(ys))], ys, ends=ends)


def blank(cell: str) -> bool:
    return cell in (" ", "\u2800")


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    assert plot([curve(0, 1, 2, 3, 4, 5)], width=16, height=3, charset="ascii") == [
        "5 |         ..'",
        "  |    ..'''   ",
        "0 |..''        ",
        "  +------------",
    ]


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_single_spike_among_a_million_values_is_visible(charset: Charset) -> None:
    ys = [1.0] * 4000
    ys[1234] = 90.0
    lines = plot([curve(*ys)], width=60, height=4, charset=charset)
    top = lines[0].split("|")[-1].split("│")[-1]
    marked = [at for at, cell in enumerate(top) if not blank(cell)]
    assert len(marked) == 1 and marked[0] == pytest.approx(1234 / 4000 * len(top), abs=1)
    assert not all(map(blank, spark(curve(*ys), width=20, charset=charset)))


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_marked_and_leaves_a_gap(charset: Charset, bad: float) -> None:
    lines = plot([curve(1, 1, bad, 1, 1)], width=40, height=3, charset=charset)
    assert lines[-1].count("x") == 1
    assert spark(curve(1, bad, 1), width=9, charset=charset)[4] == "x"


@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize(
    "ys",
    [
        (),
        (1.0,),
        (1.0, 1.0),
        (math.nan, math.nan),
        (1e308, -1e308),
        (5e-324, 1e308),
        (0.0, -0.0),
        (1e-300, 1e-301, 2.0),
        (-math.inf, 3.0),
    ],
    ids=str,
)
def test_any_values_can_be_drawn(ys: tuple[float, ...], charset: Charset) -> None:
    for width in (30, 80):
        lines = plot([curve(*ys)], width=width, height=4, charset=charset)
        assert all(len(line) <= width for line in lines)
        assert len(spark(curve(*ys), width=width, charset=charset)) == width
    document = svg.figure("t", [svg.Panel("p", [curve(*ys)])])
    assert "nan" not in document.replace(": nan", "") and ET.fromstring(document).tag == f"{NS}svg"


def test_a_thousandfold_range_is_logarithmic() -> None:
    assert "(log)" in "".join(plot([curve(1, 10, 5000)], width=40, height=3, charset="ascii"))
    assert "(log)" not in "".join(plot([curve(-1, 10, 5000)], width=40, height=3, charset="ascii"))
    scale = scale_of([curve(1, 10_000)])
    assert scale and scale.place(100) == pytest.approx(0.5) and scale.value(0.5) == pytest.approx(100)


def test_the_scale_of_the_largest_numbers() -> None:
    scale = scale_of([curve(-1e308, 1e308)])
    assert scale and scale.place(0.0) == 0.5 and scale.value(1.0) == 1e308


def test_only_ascii_where_braille_can_not_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LANG", "TERM"):
        monkeypatch.delenv(name, raising=False)

    class Utf8:
        encoding = "utf-8"

    monkeypatch.setattr("sys.stdout", Utf8())
    assert curves.charset() == "braille"
    for name, value in (("LANG", "C"), ("LC_ALL", "POSIX"), ("TERM", "linux"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert curves.charset() == "ascii", (name, value)
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert curves.charset() == "braille"
    assert "".join(plot([curve(1, 2, 3)], width=40, height=3, charset="ascii")).isascii()


def test_numbers_are_short() -> None:
    shown = [
        number_text(value) for value in (0.031234, 1234.567, 1e12, -1e-12, 12.0, -0.0, math.nan, None, 123456789.5)
    ]
    assert shown == ["0.03123", "1235", "1.000e+12", "-1e-12", "12", "0", "nan", "", "1.235e+08"]
    assert max(map(len, shown)) <= 10


def test_quality_per_date_and_its_rolling_mean_beside_the_baseline() -> None:
    dates = [f"2020-01-{day:02d}" for day in range(1, 31)]
    now = {date: 0.03 + 0.01 * (number % 5) for number, date in enumerate(dates)}
    before = dict.fromkeys(dates[5:], 0.02)
    single, means = quality_curves("quality", now, before)
    assert single.ends == ("2020-01-01", "2020-01-30") and len(means) == 2
    assert means[1].xs[0] == 11.0, "both are placed by date: 5, and the 7 dates of the first mean"
    lines = curves.quality(now, before, 78, title="quality", pair_by="date", charset="braille")
    assert max(map(len, lines)) <= 78 and "2020-01-30" in lines[-1]
    assert any("dotted" in line for line in lines)
    assert not any(
        "dotted" in line for line in curves.quality(now, {}, 78, title="quality", charset="ascii", pair_by="date")
    )
    assert curves.quality({}, {}, 78, title="quality", charset="ascii", pair_by="date"), "no date at all"


def test_a_rolling_mean_skips_what_is_not_finite() -> None:
    assert rolling([0, 1, 2, 3], [1.0, math.nan, 3.0, 5.0], 2) == ([1, 2, 3], [1.0, 3.0, 4.0])
    assert rolling([0, 1], [math.nan, math.nan], 2) == ([], [])
    assert rolling([0], [1.0], 2) == ([], []), "the mean of one value is not the mean of two"


def test_the_picture_is_well_formed_whatever_it_is_called() -> None:
    title = 'a<b> & "c" \x1b[31m \ud800 \u202e'
    document = svg.figure(title, [svg.Panel(title, [curve(1, math.nan, 3, title=title, ends=("<1>", "&2"))])])
    picture = ET.fromstring(document.encode("utf-8", "strict"))
    texts = ["".join(element.itertext()) for element in picture.iter(f"{NS}text")]
    assert any('a<b> & "c"' in text for text in texts) and "&2" in texts
    assert "\x1b" not in document and "\u202e" not in document
    assert "<script" not in document and "href" not in document
    assert "prefers-color-scheme: dark" in document


def test_the_picture_keeps_spikes_and_marks_gaps() -> None:
    document = svg.quality("report", "quality", {"d1": 0.1, "d2": 0.9, "d3": math.nan, "d4": 0.1}, {"d1": 0.2}, "date")
    picture = ET.fromstring(document)
    assert len(picture.findall(f".//{NS}polyline[@class='curve']")) >= 2
    assert len(picture.findall(f".//{NS}path[@class='broken']")) == 1
