"""The example with a plain loop: an incident, and what `trainer check` says of it."""

from __future__ import annotations

from collections.abc import Callable

from tests.examples import incident
from tests.examples.conftest import need
from tests.support.projects import Project

Make = Callable[[str], Project]


def test_an_incident_is_rolled_back_and_undone(example: Make) -> None:
    need("torch")
    project = example("plain")
    assert 0 < incident.glue(project) <= 15
    incident.break_and_roll_back(project, last="models/last.pt", again=True)


def test_the_check_of_the_trainer(example: Make) -> None:
    need("torch")
    project = example("plain")
    data = project.run("trainer", "check", "--limit-s", "200", "--json", limit_s=280).json["data"]
    verdicts = {check["name"]: check["verdict"] for check in data["checks"]}
    assert "fail" not in verdicts.values(), data
    passed = {"began", "settings", "metrics", "heartbeat", "stop", "exit-code", "lost", "resume", "fence"}
    assert passed <= {name for name, verdict in verdicts.items() if verdict == "pass"}, data
