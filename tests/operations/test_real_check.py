"""`trainer check` on the trainer of this repository, whose records fit the schema of the protocol; CI checks an example."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.needs import needs
from tests.support.projects import RUNBOOK, Project
from tests.support.schema import checked_events

pytestmark = needs("torch")


@pytest.mark.long
def test_the_trainer_of_this_repository_passes(real: Project) -> None:
    real.replace(RUNBOOK, "grace_s: 5", "grace_s: 60")
    done = real.run("trainer", "check", "--limit-s", "240", "--keep", "--json", limit_s=290,
                    env={"TMPDIR": str(real.root.parent)})  # fmt: skip
    lines = {line["name"]: line for line in done.json["data"]["checks"]}
    assert "fail" not in {line["verdict"] for line in lines.values()}, lines
    told = {name for name, line in lines.items() if line["verdict"] == "pass"}
    assert set(lines) - told <= {"kill"}, lines  # a small checkpoint may be saved before it can be killed
    assert done.code == (0 if "kill" in told else 6)
    names = checked_events(Path(done.json["data"]["folder"]))
    wanted = {"started", "first_step", "checkpoint", "evaluated", "reloaded", "fenced", "stopped"}
    assert names.keys() >= wanted
