"""The example in nanoGPT's style: an incident of a program that knows nothing of atftctl."""

from __future__ import annotations

from collections.abc import Callable

from atftctl import protocol
from tests.examples import incident
from tests.examples.conftest import need
from tests.examples.incident import LIMIT_S, events, rows, succeed
from tests.support.projects import Project, processes_of, wait_for

Make = Callable[[str], Project]
CONFIG = "config/overrides.yaml"


def test_an_incident_is_rolled_back_and_undone(example: Make) -> None:
    need("torch")
    project = example("nanogpt_style")
    assert incident.glue(project) == 0
    succeed(project, "runbook", "lint")
    succeed(project, "trainer", "start")
    wait_for((project.root / "out/ckpt.pt").exists, LIMIT_S)
    wait_for(lambda: any(row["val_loss"] for row in rows(project, 1)), LIMIT_S)

    project.replace(CONFIG, "learning_rate: 0.001", "learning_rate: 1.0e+38")
    broken = project.read(CONFIG)
    succeed(project, "trainer", "restart")
    wait_for(lambda: events(project, protocol.ANOMALY, generation=2), LIMIT_S)
    saved = project.read("out/ckpt.pt")
    assert "divergence" in project.run("diagnose", limit_s=LIMIT_S).out

    succeed(project, "rollback", "--symptom", "divergence", "--yes")
    [first] = events(project, protocol.FIRST_STEP, generation=3)
    assert first["step"] % 50 == 0 and first["step"] > 0, "from the checkpoint"
    wait_for(lambda: len(rows(project, 3)) > 30, LIMIT_S)
    assert not events(project, protocol.ANOMALY, generation=3) and project.read("out/ckpt.pt")[:2] == saved[:2]

    succeed(project, "undo", "--yes")
    assert project.read(CONFIG) == broken
    succeed(project, "trainer", "stop")
    assert not processes_of(project.root)
    assert events(project)[-1]["exit_code"] == 10
