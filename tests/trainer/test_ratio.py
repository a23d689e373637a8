"""The ratio of step times: on a machine that others use, "over the limit" is seldom wrong."""

from __future__ import annotations

import math
import random

import pytest

pytest.importorskip("numpy")

from atftctl.trainer.probes.ratio import ratio_of_medians
from tests.calibration.step_time import LIMIT, MACHINES, STEPS, Machine, failed, turns

SERIES = 100


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_check_has_its_size(machine: Machine) -> None:
    """At a true ratio of exactly the limit; 7 % and three standard errors of a share in so many series."""
    assert failed(machine, LIMIT, SERIES, ratio_of_medians) <= 0.07 + 3 * math.sqrt(0.07 * 0.93 / SERIES)
    assert failed(machine, 1.0, SERIES // 4, ratio_of_medians) == 0


def test_the_check_has_power() -> None:
    assert failed(MACHINES[0], 1.3, SERIES // 2, ratio_of_medians) > 0.95
    assert failed(MACHINES[1], 1.4, SERIES // 2, ratio_of_medians) > 0.95


def test_what_lasts_for_some_turns_widens_the_interval() -> None:
    """A bootstrap of single turns would give the same bound in any order."""
    slow = [1.5 if at // 10 % 2 else 1.0 for at in range(STEPS)]
    mine = [seconds + at / 1000 for at, seconds in enumerate(slow)]
    mixed = random.Random(1).sample(mine, STEPS)
    assert ratio_of_medians(mine, [1.0] * STEPS)[1] < ratio_of_medians(mixed, [1.0] * STEPS)[1]


def test_equal_steps_have_no_spread() -> None:
    assert ratio_of_medians([0.3] * STEPS, [0.2] * STEPS) == (pytest.approx(1.5), pytest.approx(1.5))
    seconds = turns(MACHINES[1], 1.0, 1)[0]
    assert ratio_of_medians(seconds, seconds) == (1.0, 1.0)
