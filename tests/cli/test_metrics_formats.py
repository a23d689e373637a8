"""Every command that reads metrics, on a trainer that writes them in another format than the protocol's CSV."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.incidents import history
from tests.support.projects import OOM, RUNBOOK, Project, wait_for
from tests.support.today import some

FILES = {
    "lightning": "lightning_logs/version_*/metrics.csv",
    "jsonl": "out/log.jsonl",
    "tensorboard": "runs",
    "huggingface": "out/checkpoint-*/trainer_state.json",
}


@pytest.fixture(params=some(FILES, 1))
def other(request: pytest.FixtureRequest, project: Project) -> Project:
    """A project whose trainer writes its metrics in this format."""
    project.behave(request.param)
    project.replace(RUNBOOK, "\nmetrics:\n", f'\nmetrics:\n  files: ["{FILES[request.param]}"]\n')
    return project


def newest(project: Project) -> int:
    """The step of the newest row."""
    ended = project.run("metrics", "--tail", "1", "--json")
    assert ended.code == 0, ended
    tail = ended.json["data"]["tail"]
    return int(tail[-1]["step"]) if tail else 0


def copy_of(project: Project) -> str:
    """The newest file of metrics, where the trainer does not delete it."""
    path = project.root / str(project.run("metrics", "--json").json["data"]["source"])
    project.write(f"past/{path.name}", path.read_bytes() if path.exists() else b"")
    return f"past/{path.name}" if path.exists() else copy_of(project)


def test_all_commands_read_them(other: Project) -> None:
    other.start_trainer()
    time.sleep(0.6)  # about 50 steps; asking costs more than they do
    wait_for(lambda: newest(other) >= 40)
    shown = other.run("metrics", "--json")
    assert shown.code == 0, shown
    data = shown.json["data"]
    assert len(data["branches"]) == 1
    assert {"loss_rel", "grad_norm", "rss_mb"} <= set(data["columns"])
    assert data["set_aside"]["lines"] == 0
    assert "loss" in other.run("status", "--json").json["data"]["recent"]
    diagnosis = other.run("diagnose", "--json").json["data"]
    assert diagnosis["rows"] >= 40
    assert not any("no column loss_rel" in text for text in diagnosis["unseen"])
    watched = other.run("watch", "--once", "--json").json["data"]
    assert watched["diagnosis"]["rows"] >= 40
    replayed = other.run("replay", copy_of(other), "--json")
    assert replayed.code in (0, 1, 6), replayed
    assert replayed.json["data"]["rows"] >= 40

    before = newest(other)
    changed = other.run(*OOM, "--json")
    assert changed.code == 0, changed
    wait_for(lambda: other.run("diagnose", "--json").json["data"]["rows"] >= 5)
    rows = other.run("diagnose", "--json").json["data"]["rows"]
    assert rows <= newest(other)  # of the new run only: its steps begin at 1 again
    operation = str(history(other)[-1]["operation"])
    part = other.run("incident", operation, "--json").json["data"]["operations"][0]
    assert part["curves"]["loss"]["before"]["last_step"] >= before
    assert not [text for text in part["missing"] if "evidence" in text]
    wait_for(lambda: _after(other, operation) > 0)


def _after(project: Project, operation: str) -> int:
    part = project.run("incident", operation, "--json").json["data"]["operations"][0]
    return int(part["curves"]["loss"]["after"]["count"])


@pytest.mark.parametrize("other", some(["lightning", "tensorboard"], 1), indirect=True)
def test_a_staged_rollback_judges_by_them(other: Project) -> None:
    other.replace(RUNBOOK, "window_steps: 300", "window_steps: 20")
    other.start_trainer()
    wait_for(lambda: newest(other) >= 5)
    ended = other.run("rollback", "--staged", "--symptom", "oom", "--yes", "--json")
    assert ended.code == 0, ended


def test_wrong_paths_are_problems_of_the_runbook(project: Project, tmp_path: Path) -> None:
    project.replace(RUNBOOK, "\nmetrics:\n", '\nmetrics:\n  files: [../x.csv, .atftctl/history.jsonl]\n  step: ""\n')
    ended = project.run("runbook", "lint", "--json")
    assert ended.code != 0
    text = json.dumps(ended.json)
    assert "metrics.files" in text and "metrics.step" in text
    project.replace(RUNBOOK, '[../x.csv, .atftctl/history.jsonl]\n  step: ""', "[]")
    assert "name at least one file" in json.dumps(project.run("runbook", "lint", "--json").json)
