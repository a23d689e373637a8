"""A phase behind its gate, with the real trainer: its own steps, the real checks, a model file that is too old."""

from __future__ import annotations

import json

import pytest

from tests.support.gates import quick_gates
from tests.support.needs import needs
from tests.support.projects import TRAINING, Project, wait_for

pytestmark = needs("torch")


@pytest.mark.long
def test_a_phase_passes_by_real_checks_and_one_is_held_for_an_old_model(real: Project) -> None:
    quick_gates(real, steps=20, window_s=120, checks="model, training, errors, service", quality="")
    assert real.run("rollback", "--immediate", "--yes").code == 0
    assert real.run("trainer", "start").code == 0
    wait_for(lambda: (real.root / "models/best_model.pth").exists(), 120)
    real.replace(TRAINING, "checkpoint_every: 50", "checkpoint_every: 100000")  # no newer model comes
    done = real.run("reenable", "--phase", "1", "--yes", "--json")
    assert done.code == 0, done
    gate = {line["name"]: line for line in done.json["data"]["gate"]}
    assert len(gate) == 5 and {line["verdict"] for line in gate.values()} == {"pass"}
    assert int(gate["steps"]["detail"].split()[0]) >= 20

    quick_gates(real, steps=20, window_s=30, checks="errors", quality="improved")
    held = real.run("reenable", "--next", "--yes", "--json", "--force", "another gate for this test", limit_s=300)
    assert held.code == 6, held
    assert "models/last.pth" in held.json["data"]["headline"], "the newest weights, from before the phase"
    record = json.loads(real.read(".atftctl/reenable.json"))["body"]["phases"][1]
    assert record["doing"] == "held" and "models/best_model.pth" in record["view"]["models"]
    assert real.run("reenable", "--accept-inconclusive", "no better model is expected here").code == 0
