"""Curves as lines of text. Pure functions: they write nothing.

Every value leaves a dot, however many values there are: a single spike stays visible. A value that is not finite is
shown as an `x`; the curve has a gap there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from atftctl.cli.render.layout import display_width, pad
from atftctl.cli.render.translation import localize
from atftctl.domain.curve import Curve, Scale, different_texts, number_text, quality_curves, scale_of
from atftctl.domain.printable import printable
from atftctl.protocol.messages import tr, trn

Charset = Literal["braille", "ascii"]
BROKEN = "x"  # stands where a value is not finite
DOTTED = 3  # the second curve of a plot has a dot in every third column
# By charset: dots of a cell (columns, rows); the bit of each dot, row by row.
CELLS: dict[Charset, tuple[int, int]] = {"braille": (2, 4), "ascii": (1, 2)}
BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
ASCII = " '.:"
FRAMES: dict[Charset, tuple[str, str, str]] = {"braille": ("│", "└", "─"), "ascii": ("|", "+", "-")}


def charset() -> Charset:
    """What the terminal can show: braille needs a Unicode locale, and a terminal with more than one font's worth of
    characters (the Linux console has 512)."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    plain = locale.split(".")[0] in ("C", "POSIX") and "utf" not in locale.lower()
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return "ascii" if plain or not unicode or os.environ.get("TERM") in ("linux", "dumb") else "braille"


@dataclass
class Canvas:
    """Cells of `width` by `height`, each of several dots. `broken`: the cells across that a value is marked in."""

    width: int
    height: int
    charset: Charset
    broken: set[int] = field(default_factory=set)
    dots: set[tuple[int, int]] = field(default_factory=set)

    @property
    def size(self) -> tuple[int, int]:
        """(dots across, dots down)."""
        across, down = CELLS[self.charset]
        return self.width * across, self.height * down

    def draw(self, curve: Curve, scale: Scale, span: tuple[float, float], every: int = 1) -> None:
        """Draw a curve. span: the x at both sides. every: 3 for a dot in every third column."""
        before: tuple[int, int] | None = None
        for x, y in self._places(curve, scale, span):
            if y is None:
                self.broken.add(x // CELLS[self.charset][0])
                before = None
                continue
            self.dots |= {dot for dot in _line(before or (x, y), (x, y)) if dot[0] % every == 0}
            before = (x, y)

    def _places(self, curve: Curve, scale: Scale, span: tuple[float, float]) -> Iterator[tuple[int, int | None]]:
        """(dot from the left, dot from the top) of each value; None for one that is not finite."""
        across, down = self.size
        width = (span[1] - span[0]) or 1.0
        for x, y in zip(curve.xs, curve.ys, strict=True):
            column = round((x - span[0]) / width * (across - 1))
            finite = y - y == 0
            yield column, round((1 - scale.place(y)) * (down - 1)) if finite else None

    def lines(self) -> list[str]:
        """The cells as text."""
        across, down = CELLS[self.charset]
        bits = [[0] * self.width for _ in range(self.height)]
        for x, y in self.dots:
            bits[y // down][x // across] |= BRAILLE[y % down][x % across] if self.charset == "braille" else 1 + y % down
        glyph = (lambda cell: chr(0x2800 + cell)) if self.charset == "braille" else ASCII.__getitem__
        return ["".join(map(glyph, row)) for row in bits]


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The dots from one to the other, both included."""
    (x, y), (right, below) = start, end
    steps = max(abs(right - x), abs(below - y), 1)
    for step in range(steps + 1):
        yield x + round((right - x) * step / steps), y + round((below - y) * step / steps)


def plot(curves: Sequence[Curve], *, width: int, height: int, charset: Charset) -> list[str]:
    """The lines of a plot: `height` lines of the curve, and one or two below it.

    curves: one, or two for comparison: the second is dotted. width: of the lines, at least 30 columns.
    """
    scale = scale_of(curves)
    if scale is None:
        return [localize(tr("no value that could be drawn"))]
    labels = list(reversed(different_texts(scale.low, scale.high)))
    if scale.log:
        labels.insert(1, localize(tr("(log)")))
    gutter = max(map(display_width, labels))
    canvas = Canvas(max(width - gutter - 3, 10), height, charset)
    span = _span(curves)
    for number, curve in enumerate(curves):
        canvas.draw(curve, scale, span, DOTTED if number else 1)
    side, corner, floor = FRAMES[charset]
    at = {0: labels[0], height - 1: labels[-1]} | ({height // 2: labels[1]} if scale.log and height > 2 else {})
    if scale.low == scale.high:
        at = {height // 2: labels[0]}
    lines = [f"{_right(at.get(row, ''), gutter)} {side}{cells}" for row, cells in enumerate(canvas.lines())]
    below = "".join(BROKEN if cell in canvas.broken else floor for cell in range(canvas.width))
    return [*lines, f"{' ' * gutter} {corner}{below}", *_ends(curves[0].ends, gutter + 2, canvas.width)]


def spark(curve: Curve, *, width: int, charset: Charset) -> str:
    """A curve in one line, without labels."""
    canvas = Canvas(width, 1, charset)
    scale = scale_of([curve]) or Scale(0.0, 1.0)
    canvas.draw(curve, scale, _span([curve]))
    (line,) = canvas.lines()
    return "".join(BROKEN if cell in canvas.broken else glyph for cell, glyph in enumerate(line))


def quality(
    values: Mapping[str, float],
    baseline: Mapping[str, float],
    width: int,
    *,
    title: str,
    pair_by: str,
    charset: Charset,
) -> list[str]:
    """Each value of quality; below it the rolling mean, and dotted that of the baseline.

    values, baseline: the quality by date, or by the number of the value; `baseline` may be empty. title: what people
    call the quality. pair_by: what the values belong to.
    """
    single, means = quality_curves(title, values, baseline)
    below = tr("{title}, rolling mean", title=title)
    if len(means) > 1:
        below = tr("{title}, rolling mean; dotted: the baseline", title=title)
    above = trn("{title}, {count} value", "{title}, {count} values", len(values), title=title)
    if pair_by == "date":
        above = trn("{title}, {count} date", "{title} on each of {count} dates", len(values), title=title)
    return [
        localize(above),
        *plot([single], width=width, height=4, charset=charset),
        localize(below),
        *plot(means, width=width, height=5, charset=charset),
    ]


def described(curve: Curve) -> str:
    """The title of a curve with its last, least and greatest value."""
    return tr("{title}: {values}", title=curve.title, values=values_text(curve))


def last_text(curve: Curve) -> str:
    """The last value of a curve, with its unit."""
    return f"{number_text(curve.ys[-1])} {curve.unit}".rstrip() if curve.ys else ""


def values_text(curve: Curve) -> str:
    """The last, least and greatest value of a curve."""
    bounds = curve.range
    if bounds is None:
        return tr("no finite value")
    low, high = different_texts(*bounds)
    return tr("{last} (min {low}, max {high})", last=last_text(curve), low=low, high=high)


def _span(curves: Sequence[Curve]) -> tuple[float, float]:
    xs = [x for curve in curves for x in (curve.xs[:1], curve.xs[-1:]) if x]
    return (min(x[0] for x in xs), max(x[0] for x in xs)) if xs else (0.0, 1.0)


def _ends(ends: tuple[str, str], lead: int, width: int) -> list[str]:
    """The line with the names of the first and the last x."""
    left, right = (printable(localize(end)) for end in ends)
    if not left + right:
        return []
    return [f"{' ' * lead}{pad(left, max(width - display_width(right), display_width(left) + 1))}{right}"]


def _right(text: str, columns: int) -> str:
    return " " * (columns - display_width(text)) + text
