"""Curves as an SVG picture: one file without scripts or fonts of its own, readable on a light and a dark background."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from atftctl.cli.render.translation import localize
from atftctl.domain.curve import Curve, Scale, number_text, quality_curves, scale_of
from atftctl.domain.printable import UNPRINTABLE
from atftctl.domain.record import record
from atftctl.protocol.messages import tr

WIDTH, PANEL, HEAD, LEFT, RIGHT = 860, 190, 46, 84, 20
TOP, FOOT = 30, 30  # of a panel: above and below the curve
TICKS = 4
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
STYLE = """
svg { color-scheme: light dark; font: 12px system-ui, sans-serif; }
.ground { fill: #ffffff; } text { fill: #24292f; } .quiet { fill: #57606a; } .title { font-size: 16px; }
.grid { stroke: #d8dee4; stroke-width: 1; } .curve { fill: none; stroke: #0969da; stroke-width: 1.3; }
.second { fill: none; stroke: #bc4c00; stroke-width: 1.3; stroke-dasharray: 5 3; } .broken { stroke: #cf222e; }
.curve, .second { stroke-linejoin: round; } .dot { fill: #0969da; } .broken { fill: none; stroke-width: 1.6; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; } text { fill: #e6edf3; } .quiet { fill: #9198a1; }
  .grid { stroke: #30363d; } .curve { stroke: #58a6ff; } .dot { fill: #58a6ff; } .second { stroke: #f0883e; }
  .broken { stroke: #ff7b72; }
}
"""


@record
class Panel:
    """One of the pictures below each other: a title, and one or two curves; the second is dashed."""

    title: str
    curves: Sequence[Curve]


def figure(title: str, panels: Sequence[Panel]) -> str:
    """An SVG document with these panels below each other."""
    height = HEAD + PANEL * len(panels)
    body = [part for number, panel in enumerate(panels) for part in _panel(panel, HEAD + number * PANEL)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">',
            f"<title>{_text(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
            f'<text class="title" x="{RIGHT}" y="28">{_text(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def quality(title: str, name: str, values: Mapping[str, float], baseline: Mapping[str, float], pair_by: str) -> str:
    """An SVG document: each value of quality, and the rolling mean with that of the baseline.

    title: of the document. name: what people call the quality. pair_by: what the values belong to.
    """
    single, means = quality_curves(name, values, baseline)
    below = tr("{title}, rolling mean; dashed: the baseline", title=name)
    if len(means) < 2:
        below = tr("{title}, rolling mean", title=name)
    above = tr("{title} on each date", title=name) if pair_by == "date" else tr("{title}, each value", title=name)
    return figure(title, [Panel(above, [single]), Panel(below, means)])


def _panel(panel: Panel, top: int) -> Iterator[str]:
    scale = scale_of(panel.curves)
    title = tr("{title}; logarithmic", title=panel.title) if scale and scale.log else panel.title
    yield f'<text x="{LEFT}" y="{top + 18}">{_text(title)}</text>'
    if scale is None:
        text = _text(tr("no value that could be drawn"))
        yield f'<text class="quiet" x="{LEFT}" y="{top + TOP + 40}">{text}</text>'
        return
    high, low = top + TOP, top + PANEL - FOOT
    yield from _axis(scale, high, low)
    xs = [x for curve in panel.curves for x in curve.xs]
    span = (min(xs), max(xs))
    for curve, style in zip(panel.curves, ("curve", "second"), strict=False):
        yield from _curve(curve, scale, span, (high, low), style)
    left, right = panel.curves[0].ends
    yield f'<text class="quiet" x="{LEFT}" y="{low + 18}">{_text(left)}</text>'
    yield f'<text class="quiet" x="{WIDTH - RIGHT}" y="{low + 18}" text-anchor="end">{_text(right)}</text>'


def _axis(scale: Scale, high: int, low: int) -> Iterator[str]:
    """The lines across, each with its value."""
    for tick in range(TICKS + 1):
        y = low - (low - high) * tick / TICKS
        yield f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
        label = number_text(scale.value(tick / TICKS))
        yield f'<text class="quiet" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _curve(curve: Curve, scale: Scale, span: tuple[float, float], rows: tuple[int, int], style: str) -> Iterator[str]:
    """The pieces of a curve between values that are not finite, and a mark for each of those at the foot."""
    (high, low), width = rows, WIDTH - LEFT - RIGHT
    piece: list[str] = []
    for x, y in zip(curve.xs, curve.ys, strict=True):
        across = LEFT + (x - span[0]) / ((span[1] - span[0]) or 1.0) * width
        if y - y == 0:
            piece.append(f"{across:.1f},{low - scale.place(y) * (low - high):.1f}")
            continue
        yield from _piece(piece, style)
        piece = []
        yield (
            f'<path class="broken" d="M{across - 3:.1f},{low - 3} l6,6 m0,-6 l-6,6">'
            f"<title>{_text(f'{number_text(x)}: {y}')}</title></path>"
        )
    yield from _piece(piece, style)


def _piece(points: list[str], style: str) -> Iterator[str]:
    if len(points) == 1:
        x, y = points[0].split(",")
        yield f'<circle class="dot" cx="{x}" cy="{y}" r="2"/>'
    elif points:
        yield f'<polyline class="{style}" points="{" ".join(points)}"/>'


def _text(text: str) -> str:
    """Text of an element: translated, and no character in it that XML or a screen can't show."""
    return escape(NOT_XML.sub("?", UNPRINTABLE.sub("?", localize(text))))
