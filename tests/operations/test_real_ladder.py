"""With the real trainer: it keeps a history, and a rollback finds the newest checkpoint that training goes on from."""

from __future__ import annotations

import random

import pytest

from atftctl.protocol import LAST
from tests.ladder_long import DIVERGED, climbed, plant, taken
from tests.support import damage
from tests.support.needs import needs
from tests.support.projects import Project, real_trainer

pytestmark = needs("torch")


@pytest.mark.long
def test_each_kind_of_damage_is_passed_over(project: Project) -> None:
    """Of the files of the run the first four are damaged in four ways: the fifth is resumed from; undo undoes it."""
    paths = climbed(real_trainer(project))
    chance = random.Random(5)
    for path, kind in zip(paths, damage.KINDS, strict=False):
        plant(project, path, kind, chance)
    damaged = project.read(LAST)
    listed = project.run("checkpoint", "list", "--json").json["data"]["checkpoints"]
    assert {line["path"] for line in listed if line["damage"]} == {*paths[:2]}
    done = project.run(*DIVERGED, "--json")
    assert done.code == 0 and taken(done) == paths[4], done
    assert project.read(LAST) == project.read(paths[4])
    assert project.run("undo", "--yes").code == 0 and project.read(LAST) == damaged
    status = project.run("checkpoint", "show", paths[4], "--json").json["data"]["checkpoint"]
    assert status["grade"] == "steps"
