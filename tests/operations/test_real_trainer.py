"""With the real trainer: the baseline, the verify in its three values, verified-good, and the drill as a whole."""

from __future__ import annotations

import glob
import json
from typing import Any

import pytest

from tests.support.needs import needs
from tests.support.projects import CONFIG, ROOT, RUNBOOK, TRAINING, Project, processes_of, wait_for

pytestmark = needs("torch")


def verdicts(done: object) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in done.json["data"]["checks"]}  # type: ignore[attr-defined]


@pytest.mark.long
def test_from_a_baseline_to_verified_good(real: Project) -> None:
    assert real.run("rollback", "--immediate", "--yes").code == 0
    none_yet = real.run("baseline", "record")
    assert none_yet.code == 3 and "no checkpoint" in none_yet.err
    assert real.run("trainer", "start").code == 0
    wait_for(lambda: (real.root / "models/best_model.pth").exists(), 120)
    assert real.run("trainer", "stop").code == 0

    before = {name: data for name, data in real.tree().items() if name != ".atftctl/lock"}
    no_baseline = real.run("verify", "--quick", "--json")
    assert no_baseline.code == 6, no_baseline
    assert {name: data for name, data in real.tree().items() if name != ".atftctl/lock"} == before, "it only measures"
    assert verdicts(no_baseline)["quality"] == "inconclusive"

    assert real.run("baseline", "record").code == 0
    good = real.run("backup", "--label", "good", "--json").json["data"]
    assert good["verified_good"] is False
    assert real.run("restore", "last-good", "--yes").code == 3, "nothing is verified yet"

    real.replace(TRAINING, "evaluate_every: 30", "evaluate_every: 100000")  # the best model stays what it is
    assert real.run("trainer", "start").code == 0
    passed = real.run("verify", "--json")
    assert passed.code == 0, passed
    assert set(verdicts(passed).values()) == {"pass"}
    assert "bit-identical" in next(c["detail"] for c in passed.json["data"]["checks"] if c["name"] == "quality")
    real.run("backup", "--label", "verified")
    rows = {
        row["label"]: row["verified_good"] for row in real.run("backup", "list", "--json").json["data"]["snapshots"]
    }
    assert rows["verified"] is True and rows["good"] is False, "another config than the one that passed"
    shown = real.run("backup", "show", "last-good", "--json").json["data"]
    assert shown["label"] == "verified" and shown["passed"]["checks"].keys() == verdicts(passed).keys()
    assert shown["baseline"]["pairs"] > 0 and shown["baseline"]["memory_mb"] > 0
    assert "ok quality: " in real.run("backup", "show", "last-good").out

    real.replace(CONFIG, "freq_dropout_p: 0.0", "freq_dropout_p: 0.3")
    other = real.run("verify", "--check", "service", "--json")
    assert verdicts(other)["service"] == "fail", "it runs with other settings than the files say"
    assert other.code == 1 and other.json["data"]["contacts"]

    weights = bytearray(real.read("models/best_model.pth"))
    for at in range(len(weights) // 3, len(weights) // 3 + 512):  # one byte may be one of those between two tensors
        weights[at] ^= 1
    real.write("models/best_model.pth", bytes(weights))
    damaged = real.run("verify", "--check", "model", "--json")
    assert damaged.code == 1 and verdicts(damaged)["model"] == "fail"

    assert real.run("restore", "last-good", "--yes").code == 0
    assert real.run("trainer", "status", "--json").json["data"]["state"] == "running"
    assert len(processes_of(real.root)) == 1


def test_settings_are_taken_up_without_a_restart(real: Project) -> None:
    """`trainer reload`: the echo is the proof, what the trainer refuses is refused, the running process stays."""
    assert real.run("trainer", "reload").code == 3, "no trainer is running"
    real.replace(CONFIG, "enable_wandb: true", "enable_wandb: false")
    assert real.run("trainer", "start").code == 0
    pid = real.record()["pid"]
    real.replace(CONFIG, "freq_dropout_p: 0.1", "freq_dropout_p: 0.0")
    dry = real.run("trainer", "reload", "--dry-run")
    assert dry.code == 0 and "load the config" in dry.out
    done = real.run("trainer", "reload", "--json")
    assert done.code == 0, done
    assert done.json["data"]["event"]["effective"]["improvements.freq_dropout_p"] == 0.0
    assert real.record()["pid"] == pid and real.record()["digest"] == done.json["data"]["digest"]

    real.replace(CONFIG, "freq_dropout_p: 0.0", "freq_dropout_p: 3.0")
    refused = real.run("trainer", "reload")
    assert refused.code == 3 and "improvements.freq_dropout_p: 3.0 is out of its range" in refused.err
    assert "keeps its old settings" in refused.err
    status = real.run("trainer", "status", "--json").json["data"]
    assert status["state"] == "running" and status["pid"] == pid and status["section"] and status["silent_s"] is None
    assert [row["command"] for row in real.run("history", "--json").json["data"]["operations"]][-1] == "trainer reload"


@pytest.fixture
def several(real: Project) -> Project:
    """The number of processes comes from the runbook."""
    real.replace(RUNBOOK, "processes: 1", "processes: 2")
    real.replace(RUNBOOK, "grace_s: 5", "grace_s: 60")
    return real


def events(project: Project, name: str) -> list[dict[str, Any]]:
    every = [json.loads(line) for line in project.read("logs/events.jsonl").splitlines()]
    return [event for event in every if event["event"] == name]


def test_several_processes_start_and_stop(several: Project) -> None:
    """All stop at one step, nobody is left, nobody is killed."""
    several.replace(TRAINING, "dates_per_step: 1", "dates_per_step: 2")
    assert several.run("trainer", "start").code == 0
    assert len(processes_of(several.root)) >= 3, "the launcher and two workers"
    assert [event["world_size"] for event in events(several, "started")] == [2]
    stopped = several.run("trainer", "stop")
    assert stopped.code == 0 and "had to be killed" not in stopped.out, stopped
    wait_for(lambda: not processes_of(several.root))
    assert [event["reason"] for event in events(several, "stopped")] == ["asked to stop"]


@pytest.mark.long
def test_several_processes_are_rolled_back(several: Project) -> None:
    refused = several.run("trainer", "start")
    assert refused.code == 1 and "a multiple of 2 can" in refused.out, "one date can't be shared by two"
    wait_for(lambda: not processes_of(several.root))  # the launcher takes a moment
    several.replace(TRAINING, "dates_per_step: 1", "dates_per_step: 2")
    assert several.run("trainer", "start").code == 0
    done = several.run("rollback", "--symptom", "memory-leak", "--yes", "--json")
    assert done.code == 0, done
    assert several.run("trainer", "stop").code == 0
    assert [event["reason"] for event in events(several, "stopped")][-2:] == ["asked to stop"] * 2


def test_each_flag_is_proven_and_one_that_does_nothing_fails(real: Project) -> None:
    real.replace(TRAINING, "huber_delta: 1.0", "huber_delta: 1000.0")
    inert = real.run("verify", "--effects", "--json")
    assert inert.code == 1 and inert.json["data"]["inert"] == ["improvements.huber_loss, loss.type"], inert
    assert "attention entropy" in inert.out


@pytest.mark.timeout(600)
def test_the_drill(project: Project) -> None:
    """The main job: a real out of memory under a real limit, seen and rolled back by the watcher, verified, phase 1 is
    back. Nothing stays behind. The drills of the other symptoms: make drill-all."""
    before = set(glob.glob("/tmp/atftctl-drill-*"))
    done = project.run("drill", "--symptom", "oom", "--json", "--project", str(ROOT), limit_s=500)
    assert done.code == 0, done
    (drill,) = done.json["data"]["drills"]
    seen, seconds = drill["seen"], drill["seconds"]
    assert seen["rolled_back_mb"] < seen["limit_mb"] < seen["improved_mb"]
    assert all(word.startswith("pass") for word in seen["checks"].values()) and len(seen["checks"]) == 8, seen["checks"]
    assert drill["verdict"] == seen["act"]["outcome"] == "restored"
    assert 0 < seconds["own"] < seconds["reaction"] and seconds["verify"] > 0, seconds
    assert set(glob.glob("/tmp/atftctl-drill-*")) <= before
