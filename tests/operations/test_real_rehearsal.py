"""`--rehearse` with the real trainer: what it measures, what it catches, and that it touches nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.needs import needs
from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project, wait_for
from tests.support.small_disk import small_disk

pytestmark = needs("torch")


def trained(project: Project) -> None:
    """Train until there is a checkpoint, then stop."""
    project.replace(TRAINING, "checkpoint_every: 50", "checkpoint_every: 5")
    assert project.run("trainer", "start").code == 0
    wait_for(lambda: (project.root / "models/last.pth").exists(), 120)
    assert project.run("trainer", "stop").code == 0


def test_planned_and_current_settings_train_in_turns(real: Project, tmp_path: Path) -> None:
    trained(real)
    real.replace(RUNBOOK, "memory_limit_mb: 0", "memory_limit_mb: 900")
    before = real.tree()
    dry = real.run(
        "rollback", "--immediate", "--rehearse", "14", "--dry-run", "--json",
        "--with", "optimizer.lr=5e-4", "--with", "data.skip=2015-01-01..2015-12-31",
    )  # fmt: skip
    assert dry.code == 0, dry
    assert real.tree() == before, "not a byte of the project"
    measured = dry.json["data"]["rehearsal"]
    assert measured["verdict"] == "pass" and measured["steps"] == 14 and measured["checkpoint"] == "models/last.pth"
    assert 100 < measured["peak_mb"] < measured["limit_mb"] == 900
    ratio, lower, upper = measured["step_s_ratio"]
    assert lower <= ratio <= upper and 0.1 < ratio < 10
    assert "relative loss" in measured["text"], "without Huber, the losses themselves can't be compared"
    assert "other dates" not in measured["text"], "both took the dates that the planned settings leave"


@pytest.mark.long
def test_a_checkpoint_whose_loss_is_infinite(real: Project, tmp_path: Path) -> None:
    trained(real)
    sick = with_infinite_loss(real, tmp_path)
    answer = probe(real, tmp_path, "--model", f"models/last.pth={sick}", "--steps", "4")
    assert answer["planned"]["exit_code"] == 12 and not answer["planned"]["rows"], answer["planned"]
    assert len(answer["current"]["rows"]) <= 1 and answer["planned"]["source"] == "models/last.pth"


@pytest.mark.long
def test_settings_that_do_not_fit_and_a_full_disk(real: Project, tmp_path: Path) -> None:
    real.replace(RUNBOOK, "memory_limit_mb: 0", "memory_limit_mb: 440")
    large = real.run("config", "set", "model.hidden_size=512", "--rehearse", "5", "--yes")
    assert large.code == 3 and "does not fit" in large.err and "440 MB" in large.err, large
    assert b"hidden_size: 16" in real.read(CONFIG)

    with small_disk(tmp_path / "disk", "40k") as disk:
        full = probe(real, tmp_path, "--steps", "4", TMPDIR=str(disk))
    assert full["planned"]["exit_code"] == 15 and "No space left" in full["planned"]["reason"], full["planned"]


def with_infinite_loss(project: Project, folder: Path) -> Path:
    """A whole checkpoint whose weights make the loss infinite."""
    import torch

    from atftctl.trainer.runtime.generation import Generation
    from atftctl.trainer.training import checkpoint

    saved = checkpoint.load(project.root / "models/last.pth")
    del saved["format"]
    saved["model"]["head.outer.bias"] = torch.full_like(saved["model"]["head.outer.bias"], 1e30)
    checkpoint.save(folder / "sick.pth", saved, Generation(folder))
    return folder / "sick.pth"


def probe(project: Project, out: Path, *options: str, **env: str) -> dict[str, Any]:
    file = out / "answer.json"
    subprocess.run(
        [sys.executable, "-m", "atftctl.trainer", "probe", "rehearse", "--out", str(file), *options],
        cwd=project.root, env={**project.env, **env}, check=True, timeout=120,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(file.read_text())
    return answer
