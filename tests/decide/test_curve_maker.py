"""The smoothed loss curve of a run: bounded, on the line, and with its noise."""

from __future__ import annotations

import math
import random

import pytest

from atftctl.decide.detectors.loss_curve import MOST, CurveMaker, curve_of
from atftctl.decide.detectors.slow import Curve


@pytest.mark.parametrize(("rows", "every"), [(200, 1), (1000, 1), (1000, 50), (60_000, 1)])
def test_a_curve_is_smooth_bounded_and_knows_its_noise(rows: int, every: int) -> None:
    rng, maker = random.Random(1), CurveMaker()

    def level(step: int) -> float:
        return 1.0 + math.exp(-step / (rows * every))

    for number in range(1, rows + 1):
        maker.take(number * every, level(number * every) + rng.gauss(0, 0.05))
    curve = maker.curve()
    assert len(curve.steps) <= MOST + 1 and (curve.steps[0], curve.steps[-1]) == (every, rows * every)
    middle = rows * every // 2
    assert curve.at(middle) == pytest.approx(level(middle), abs=0.03)
    width = max(200, rows // MOST)
    assert 0.05 / math.sqrt(4 * width) < curve.noise < 0.07 / math.sqrt(200), curve.noise
    assert curve.at(0) is None and curve.at(rows * every + 1) is None


def test_values_that_can_not_be_used_are_left_out() -> None:
    maker = CurveMaker()
    for step in range(2, 400):
        maker.take(step, math.nan if step % 2 else 1.0)
        maker.take(step - 1, 99.0)
    assert maker.curve() == Curve(), "199 rows are too few"
    maker.take(400, 1.0)
    assert set(maker.curve().values) == {1.0} and maker.rows == 200


@pytest.mark.parametrize(
    "change",
    [{"steps": [1]}, {"steps": [2, 1]}, {"values": [1.0]}, {"noise": None}, {"values": [1.0, "x"]}, {"column": 3}],
)
def test_a_record_that_is_no_curve(change: dict[str, object]) -> None:
    record = {"column": "loss", "rows": 300, "steps": [1, 300], "values": [2.0, 1.0], "noise": 0.1}
    assert curve_of(record) == Curve((1, 300), (2.0, 1.0), 0.1)
    with pytest.raises(ValueError):
        curve_of({**record, **change})
