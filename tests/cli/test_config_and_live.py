"""`config get`, `config set` and `--live`: the running trainer loads settings without a restart."""

from __future__ import annotations

from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project


def test_config_get_and_set(project: Project) -> None:
    assert project.run("config", "get", "use_ema").out.strip() == "true"
    assert project.run("config", "get", "loss.type", "--json").json["data"] == {
        "headline": "huber", "key": "loss.type", "file": TRAINING, "value": "huber",
    }  # fmt: skip
    assert "improvements.gat_temperature: 0.8" in project.run("config", "get").out
    before = project.read(CONFIG)
    done = project.run("config", "set", "gat_temperature=0.9", "loss.type=mse", "--yes")
    assert done.code == 0, done
    assert b"gat_temperature: 0.9" in project.read(CONFIG) and b"type: mse" in project.read(TRAINING)
    assert project.run("undo", "--yes").code == 0 and project.read(CONFIG) == before
    for settings, code, message in (
        (("gat_temperature", "true"), 3, "is not a number"),
        (("gat_temperature", "0.8"), 3, "already has this value"),
        (("gat_temprature", "0.9"), 3, "did you mean gat_temperature?"),
        (("improvements", "0.9"), 3, "holds 8 settings"),
        (("gat_temperature",), 2, "KEY VALUE"),
        (("gat_temperature", "[1"), 2, "is not a YAML value"),
    ):
        refused = project.run("config", "set", *settings, "--yes")
        assert refused.code == code and message in refused.err, refused
    assert project.run("config", "get", "nonsense").code == 3


def test_live_is_proven_by_the_trainers_own_echo(project: Project) -> None:
    project.start_trainer()
    pid = project.record()["pid"]
    done = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert done.code == 0 and "proof: step" in done.out, done
    assert project.record()["pid"] == pid, "no restart"
    assert project.run("rollback", "--feature", "use_ema", "--live", "--yes").code == 0
    assert project.record()["pid"] == pid and b"use_ema: false" in project.read(CONFIG)


def test_what_the_running_trainer_does_not_take_up_is_put_back(project: Project) -> None:
    before = project.configs()
    refused = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert refused.code == 3 and "needs a running trainer" in refused.err
    project.behave("refuses")
    project.start_trainer()
    done = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert done.code == 4 and "told to refuse" in done.out and project.configs() == before, done
    assert project.run("trainer", "status", "--json").json["data"]["state"] == "running"


def test_a_deaf_trainer_does_not_take_it_up_later(project: Project) -> None:
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 1")
    project.behave("deaf")
    project.start_trainer()
    before = project.configs()
    done = project.run("config", "set", "gat_temperature", "0.9", "--live", "--yes")
    assert done.code == 4 and project.configs() == before
    assert not (project.root / "logs/request.json").exists(), "the request was withdrawn"


def test_live_put_back_is_put_back_in_the_trainer_too(project: Project) -> None:
    """The stand-in, as the real one, has EMA on only if both switches are: the echo shows what was not taken up."""
    project.run("config", "set", "use_ema=false", "ema.enabled=false", "--yes")
    project.start_trainer()
    wanted = project.run("trainer", "status", "--json").json["data"]["digest"]
    done = project.run("config", "set", "use_ema=true", "training.max_steps=777", "--live", "--yes")
    assert done.code == 4, done
    assert project.run("trainer", "status", "--json").json["data"]["digest"] == wanted
    assert project.run("guard", "--", "true").code == 125 and "quarantined" not in project.run("status").out
