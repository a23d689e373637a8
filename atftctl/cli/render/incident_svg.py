"""The curves of the page of an incident: pictures without any text, which the page puts beside them in HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from atftctl.domain.curve import Curve, Scale, scale_of
from atftctl.domain.record import record

if TYPE_CHECKING:
    from atftctl.operations.report.incident_data import AroundData, SideData

WIDTH, HEIGHT = 1000, 300  # of the drawing; the page stretches it, the lines keep their width
LEAST, MOST = 25, 75  # percent of the width that each side has at least and at most
EDGE = 8  # above the greatest and below the least value, so that a single value is seen whole
FOOT = 20  # height of the mark of a value that is not finite


@record
class Picture:
    """A picture. `svg`: its element. `scale`: of its values; None where no value is finite. `share`: percent of its
    width before the operation. `linear`: both sides have the same scale of steps."""

    svg: str
    scale: Scale | None
    share: int
    linear: bool


def picture(curve: AroundData) -> Picture:
    """The curve with a line at the operation."""
    before, after = curve.before, curve.after
    scale = scale_of(Curve("", [], [value for piece in side.lines for _, value in piece]) for side in (before, after))
    share, linear = _share(before, after)
    middle = WIDTH * share // 100
    body = [
        *(f'<path class="g" d="M0 {_down(tick / 4)}H{WIDTH}"/>' for tick in range(5)),
        *_side(before, scale, 0, middle),
        *_side(after, scale, middle, WIDTH),
        f'<path class="m" d="M{middle} 0V{HEIGHT}"/>',
    ]
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
    return Picture(f"{head}{''.join(body)}</svg>", scale, share, linear)


def _share(before: SideData, after: SideData) -> tuple[int, bool]:
    """(percent of the width before the operation, whether that is its share of the steps)."""
    if after.first_step is None:
        return 100, True
    if before.first_step is None:
        return 0, True
    steps = [max(1, (side.last_step or 0) - (side.first_step or 0) + 1) for side in (before, after)]
    share = round(100 * steps[0] / sum(steps))
    bounded = min(MOST, max(LEAST, share))
    return bounded, bounded == share


def _side(side: SideData, scale: Scale | None, left: int, right: int) -> Iterator[str]:
    """The pieces of the curve between two places across."""
    if side.first_step is None:
        return
    first, width = side.first_step, max(1, (side.last_step or 0) - side.first_step)

    def across(step: int) -> int:
        return round(left + (step - first) / width * (right - left))

    for piece in side.lines if scale else ():
        assert scale is not None
        points = [f"{across(step)} {_down(scale.place(value))}" for step, value in piece]
        distinct = list(dict.fromkeys(points))
        if distinct[1:]:
            yield f'<path class="c" d="M{distinct[0]}L{" ".join(distinct[1:])}"/>'
        else:
            yield f'<path class="c p" d="M{distinct[0]}h0"/>'
    marks = "".join(f"M{across(step)} {HEIGHT}v-{FOOT}" for step in side.broken)
    if marks:
        yield f'<path class="b" d="{marks}"/>'


def _down(place: float) -> int:
    """Where a place of the scale (0.0 to 1.0) is in the picture, from its top."""
    return round(EDGE + (HEIGHT - 2 * EDGE) * (1 - place))


def ticks(scale: Scale) -> list[float]:
    """The values at the top, in the middle and at the foot."""
    values = [scale.value(place) for place in (1.0, 0.5, 0.0)]
    return values if all(map(math.isfinite, values)) else []
