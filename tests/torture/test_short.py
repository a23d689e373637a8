"""The short form of `make torture`: a sample of each part, another one each day."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.today import TODAY, some
from tests.torture import crowd, points, power
from tests.torture.commands import COMMANDS


@pytest.mark.parametrize("command", some(COMMANDS, 9), ids=lambda one: one.name.replace(" ", "-"))
def test_failpoints(command: points.Command, tmp_path: Path) -> None:
    report = points.Report()
    points.run([command], tmp_path, report, every=97, first=TODAY)
    assert report.points > 2 and not report.failures, report.failures


@pytest.mark.parametrize("command", some((one for one in COMMANDS if "git" not in one.name and one.undoable), 5),
                         ids=lambda one: one.name.replace(" ", "-"))  # fmt: skip
def test_power_losses(command: points.Command, tmp_path: Path) -> None:
    losses = power.Losses()
    command.make(tmp_path)
    power.sample(command, tmp_path, 12, TODAY, losses)
    assert losses.samples == 12 and not losses.failures, losses.failures


def test_the_model_of_power_losses_sees_a_missing_fsync(tmp_path: Path) -> None:
    """A test that can't fail tests nothing: without the fsync of staged files a mixture is found."""
    command = next(one for one in COMMANDS if one.name == "rollback immediate")
    command.make(tmp_path)
    without = "write_new < stage < "
    losses = power.Losses()
    for seed in range(4):
        power.sample(command, tmp_path, 60, seed, losses, without)
        if losses.failures:
            break
    assert any(site.startswith(without) for site in losses.sites), "no such fsync: was a function renamed?"
    assert losses.failures


def test_kills_at_random_times(tmp_path: Path) -> None:
    told = crowd.kills(tmp_path, 3, TODAY)
    assert told.runs == 3 and not told.failures, told.failures


def test_pairs_of_operators(tmp_path: Path) -> None:
    told = crowd.pairs(tmp_path, 3, TODAY)
    assert told.runs == 3 and not told.failures, told.failures


def test_a_record_that_went_before_the_one_that_explains_it(tmp_path: Path) -> None:
    """Found by the model: after two crashes BEGIN stood without its INTENT, and recovery gave up."""
    command = next(one for one in COMMANDS if one.name == "undo")
    command.make(tmp_path)
    losses = power.Losses()
    power.sample(command, tmp_path, 12, 1, losses)
    assert not losses.failures, losses.failures
