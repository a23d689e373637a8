"""Config files that the trainer merges under a key of their own, as Hydra does: `files.namespaces`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from atftctl.observe.configs import digest, read_configs
from atftctl.operations.project import open_project
from atftctl.protocol import config_digest, merge_settings, placed
from tests.support.projects import Project, make_project

BOOK = "runbooks/mine.yaml"
RUNBOOK = """\
files:
  configs: [conf/model/large.yaml, conf/data/big.yaml, conf/config.yaml]
  namespaces: {conf/model/large.yaml: model, conf/data/big.yaml: data.source}
trainer: {command: [python, train.py]}
features:
  ema: {file: conf/model/large.yaml, key: ema, baseline: false, improved: true}
symptoms:
  slow: {table: {ema: false}}
"""


@pytest.fixture
def hydra(tmp_path: Path) -> Project:
    """A project with one main config and two groups."""
    project = make_project(tmp_path / "mine", tmp_path / "violations")
    (project.root / "runbooks" / "atft-gat-fan.yaml").unlink()
    project.write(BOOK, RUNBOOK)
    project.write("conf/model/large.yaml", "layers: 2\nema: true\n")
    project.write("conf/data/big.yaml", "layers: 7\n")
    project.write("conf/config.yaml", "model: {heads: 4}\nlr: 0.1\n")
    return project


def test_the_digest_is_that_of_the_merged_settings(hydra: Project) -> None:
    files = open_project(hydra.root).runbook.files
    merged = {"model": {"layers": 2, "ema": True, "heads": 4}, "data": {"source": {"layers": 7}}, "lr": 0.1}
    assert digest(read_configs(hydra.root, files)) == config_digest(merged)
    assert merge_settings([placed({"a": 1}, ("x", "y")), placed({"b": 2}, ())]) == {"x": {"y": {"a": 1}}, "b": 2}


def test_settings_have_the_key_of_the_trainer_and_are_changed_in_their_file(hydra: Project) -> None:
    settings = hydra.run("config", "get", "--json").json["data"]["settings"]
    assert settings["model.layers"] == {"file": "conf/model/large.yaml", "value": 2}
    assert settings["data.source.layers"]["value"] == 7 and settings["model.heads"]["file"] == "conf/config.yaml"
    assert hydra.run("config", "set", "data.source.layers=8", "model.layers=3", "--yes").code == 0
    assert hydra.read("conf/data/big.yaml") == b"layers: 8\n"
    assert hydra.read("conf/model/large.yaml") == b"layers: 3\nema: true\n"
    assert hydra.run("config", "set", "layers=3", "--yes").code == 3


def test_a_rollback_with_a_setting_of_another_group_of_the_same_name(hydra: Project) -> None:
    ended = hydra.run("rollback", "--symptom", "slow", "--with", "data.source.layers=9", "--yes", "--no-restart")
    assert ended.code == 0, ended
    assert hydra.read("conf/model/large.yaml") == b"layers: 2\nema: false\n"
    assert hydra.read("conf/data/big.yaml") == b"layers: 9\n"
    assert hydra.run("config", "get", "model.ema").out.strip() == "false"
    ended = hydra.run("rollback", "--immediate", "--with", "model.ema=true", "--yes", "--no-restart")
    assert ended.code == 3 or b"ema: true" in hydra.read("conf/model/large.yaml"), ended


def test_a_snapshot_and_the_plan_have_the_same_digest(hydra: Project) -> None:
    assert hydra.run("backup").code == 0
    files = open_project(hydra.root).runbook.files
    [snapshot] = hydra.run("backup", "list", "--json").json["data"]["snapshots"]
    shown = hydra.run("backup", "show", snapshot["id"], "--json").json["data"]
    assert shown["config_digest"] == digest(read_configs(hydra.root, files))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("conf/model/large.yaml: model", "conf/model/larg.yaml: model", "did you mean conf/model/large.yaml?"),
        (": model,", ": 'model.',", "is not a key"),
        (": model,", ": 7,", "is not a string"),
    ],
)
def test_a_wrong_namespace_is_a_problem_of_the_runbook(hydra: Project, old: str, new: str, said: str) -> None:
    hydra.replace(BOOK, old, new)
    ended = hydra.run("runbook", "lint")
    assert ended.code == 1 and "files.namespaces" in ended.out and said in ended.out, ended


def test_init_writes_the_namespaces_of_a_defaults_list(hydra: Project) -> None:
    (hydra.root / BOOK).unlink()
    shutil.rmtree(hydra.root / "configs")
    hydra.write("train.py", "")
    hydra.write("conf/model/small.yaml", "layers: 1\n")
    hydra.write(
        "conf/config.yaml", "defaults:\n  - model: large\n  - data@data.source: big\n  - override hydra/x: y\nlr: 1\n"
    )
    assert hydra.run("init", "--yes").code == 0
    files = open_project(hydra.root).runbook.files
    assert files.configs == ("conf/model/large.yaml", "conf/data/big.yaml", "conf/config.yaml")
    assert files.namespaces == {"conf/model/large.yaml": "model", "conf/data/big.yaml": "data.source"}
