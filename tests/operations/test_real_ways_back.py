"""With the real trainer: stages watched by its own metrics, a change taken up live, guilty improvements found."""

from __future__ import annotations

import pytest

from tests.support.needs import needs
from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project

pytestmark = needs("torch")


@pytest.mark.long
def test_a_stage_is_judged_by_the_trainers_own_metrics(real: Project) -> None:
    real.replace(RUNBOOK, "window_steps: 300", "window_steps: 80")
    assert real.run("trainer", "start").code == 0
    done = real.run("rollback", "--staged", "--symptom", "divergence", "--yes", "--json")
    assert done.code == 0, done
    data = done.json["data"]
    assert data["stage"] == "table" and "steps, all finite" in data["headline"]
    live = real.run("config", "set", "freq_dropout_p", "0.2", "--live", "--yes")
    assert live.code == 0 and "proof: step" in live.out, live
    assert real.run("undo", data["operations"][0], "--yes").code == 3, "the config was changed since"
    assert real.run("undo", "--yes").code == 0


def test_the_guilty_one_is_found_by_short_runs(real: Project) -> None:
    """A learning rate that is far too high, as an improvement among the others."""
    rate = (
        "  learning_rate:\n    title: {en: Learning rate, ja: 学習率}\n    file: configs/atft/train/production.yaml\n"
    )
    rate += "    key: optimizer.lr\n    baseline: 0.001\n    improved: 0.002\n"
    real.replace(RUNBOOK, "  warmup_steps:\n    title", f"{rate}  warmup_steps:\n    title")
    real.replace(RUNBOOK, "bisect_steps: 40", "bisect_steps: 25")
    real.replace(TRAINING, "lr: 1.0e-3", "lr: 1.0")
    real.replace(TRAINING, "clip_grad_norm: 5.0", "clip_grad_norm: 1.0e+5")
    real.replace(TRAINING, "warmup_steps: 100", "warmup_steps: 1")
    for name in ("gat_temperature: 0.8", "freq_dropout_p: 0.1"):
        real.replace(CONFIG, name, f"{name.partition(':')[0]}: {'1.0' if 'gat' in name else '0.0'}")
    tree = {name: data for name, data in real.tree().items() if not name.startswith((".atftctl", "cache"))}
    found = real.run("rollback", "--bisect", "--symptom", "divergence", "--json", limit_s=300)
    assert found.code == 0 and found.json["data"]["guilty"] == ["learning_rate"], found
    after = {name: data for name, data in real.tree().items() if not name.startswith((".atftctl", "cache"))}
    assert after == tree, "it changes nothing"
    again = real.run("rollback", "--bisect", "--symptom", "divergence", "--json")
    assert all("known from an earlier run" in line for line in again.json["data"]["runs"]), again
