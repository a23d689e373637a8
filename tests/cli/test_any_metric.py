"""Services with other metrics: a classifier with accuracy by example, a language model with perplexity, and one that has
no probe at all. Nothing of the shipped service is in what they read."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.projects import ROOT, RUNBOOK, Ended, Project

PROBE = ROOT / "tests" / "support" / "children" / "any_probe.py"
COLUMNS = {
    "train_loss": {"title": "training loss", "better": "lower"},
    "accuracy": {"title": "accuracy", "unit": "%", "better": "higher"},
    "perplexity": {"title": "perplexity", "better": "lower"},
    "rss": {"title": "memory", "unit": "MB", "better": "lower"},
    "seconds": {"title": "step time", "unit": "s", "better": "lower"},
}
ROLES = {"loss": "train_loss", "memory": "rss", "step_time": "seconds"}
FOREIGN = re.compile(r"rank.?ic|stock|\bdates?\b|atft-gat", re.IGNORECASE)


def service(project: Project, metric: str, *, probe: bool = True, **checks: object) -> Project:
    """Give the project's runbook this metric; `checks`: further keys of that section."""
    runbook = yaml.safe_load(project.read(RUNBOOK))
    for section in ("detectors", "drill"):
        runbook.pop(section, None)
    runbook |= {
        "service": "any-service",
        "metrics": {"columns": COLUMNS, "quality": metric, **ROLES},
        "checks": {"probe_limit_s": 60, **checks},
    }
    runbook["trainer"]["probe"] = ["{python}", str(PROBE)] if probe else []
    project.write(RUNBOOK, yaml.safe_dump(runbook, allow_unicode=True, sort_keys=False))
    done = project.run("rollback", "--immediate", "--yes", "--no-restart")
    assert done.code == 0, done
    return project


def probe(project: Project, metric: str, level: float, count: int) -> None:
    project.write("probe.json", json.dumps({"metric": metric, "level": level, "count": count}))


def quality(project: Project) -> tuple[int, dict[str, Any]]:
    done = project.run("verify", "--check", "quality", "--json")
    [check] = done.json["data"]["checks"]
    said = json.dumps([done.json["data"]["headline"], check, done.json["data"]["lines"]])
    assert not FOREIGN.search(said), said
    return done.code, check


@pytest.mark.parametrize(
    ("metric", "checks", "good", "same", "bad"),
    [
        (
            "accuracy",
            {"quality_pair_by": "example", "quality_margin": 2.0, "quality_min_pairs": 200},
            0.92,
            0.921,
            0.85,
        ),
        ("perplexity", {"quality_pair_by": "none", "quality_margin": 2.0, "quality_min_pairs": 200}, 21.0, 20.9, 27.0),
    ],
)
def test_a_service_with_its_own_metric(
    project: Project, metric: str, checks: dict[str, object], good: float, same: float, bad: float
) -> None:
    service(project, metric, **checks)
    probe(project, metric, good, 1500)
    recorded = project.run("baseline", "record", "--json")
    assert recorded.code == 0 and recorded.json["data"]["pairs"] == 1500, recorded
    assert not FOREIGN.search(recorded.json["data"]["headline"]), recorded
    probe(project, metric, same, 1500)
    code, check = quality(project)
    assert code == 0 and "restored (1,500" in check["detail"] and check["title"] == metric, check
    assert ("lower is better" in check["detail"]) == (metric == "perplexity")
    assert (" %" in check["detail"].replace("95 %", "")) == (metric == "accuracy")
    probe(project, metric, bad, 1500)
    code, check = quality(project)
    assert code == 1 and "degraded" in check["detail"], check
    probe(project, metric, same, 100)
    code, check = quality(project)
    assert code == 6 and check["hint"], check


BAD = {
    "half a JSON": ('{"quality": {"values": [1, 2', "not valid JSON"),
    "a list": ("[1, 2, 3]", "is not an object, but list"),
    "empty": ("", "not valid JSON"),
    "100,000 brackets": ("[" * 100_000, "nested too deeply"),
    "an integer of 10,000 digits": ('{"quality": {"values": [' + "1" * 10_000 + "]}}", "not valid JSON"),
    "quality is a list": ('{"quality": [1]}', "answer for quality is not an object"),
    "wrong type": ('{"quality": {"by_example": 3}}', "answer for quality: by_example is not an object: 3"),
    "another key": ('{"quality": {"by_exampel": {"a": 1}}}', "has no by_example, but by_exampel"),
    "a single number": ('{"quality": {"mean": 91.5}}', "a single value, 91.5, has no spread"),
    "nothing": ("{}", "answers nothing for quality"),
    "NaN": ('{"quality": {"by_example": {"img-00001": NaN, "img-00002": Infinity}}}', "NaN"),
    "an error": ('{"error": "the card is lost"}', "the card is lost"),
}


def test_a_probe_that_answers_nonsense_is_told_what_is_wrong(project: Project) -> None:
    service(project, "accuracy", quality_pair_by="example", quality_margin=2.0)
    probe(project, "accuracy", 0.9, 300)
    assert project.run("baseline", "record").code == 0
    kept = project.read(".atftctl/baselines/default.json")
    for case, (answer, words) in BAD.items():
        project.write("answer", answer)
        code, check = quality(project)
        assert code == 6 and words in check["detail"] and check["hint"], (case, check)
    done = project.run("baseline", "record")
    assert done.code in (3, 6) and project.read(".atftctl/baselines/default.json") == kept, done


# Without a probe


def train(project: Project, rows: int, accuracy: float, *, first: int = 1, memory: float = 500.0) -> None:
    """The metrics of the running trainer: an evaluation every ten steps."""
    lines = ["step,generation,train_loss,accuracy,rss,seconds"]
    number = project.record()["generation"]
    for step in range(first, first + rows):
        wave = ((step // 10 * 7) % 5 - 2) * 0.05
        value = f"{accuracy + wave:.4f}" if step % 10 == 0 else ""
        lines.append(f"{step},{number},{0.5 + 0.001 * (step % 7):.4f},{value},{memory},{0.01 + 0.0001 * (step % 3)}")
    project.write("logs/metrics.csv", "\n".join(lines) + "\n")


def checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"weights" * 100)


def checks_of(done: Ended) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in done.json["data"]["checks"]}


def test_verified_good_is_reached_without_a_probe(project: Project) -> None:
    service(project, "accuracy", probe=False, quality_margin=1.0)
    refused = project.run("baseline", "record")
    assert refused.code == 3 and "has not started a trainer" in refused.err, refused
    project.start_trainer()
    assert project.run("trainer", "stop").code == 0, "the stand-in writes other metrics, and checkpoints without a CRC"
    for name in ("best_model.pth", "last.pth"):
        checkpoint(project.root / "models" / name)
    train(project, 120, 92.0)
    recorded = project.run("baseline", "record", "--json")
    assert recorded.code == 0 and recorded.json["data"]["source"] == "metrics", recorded
    assert recorded.json["data"]["pairs"] == 12 and recorded.json["data"]["cost"]["memory_mb"] == 500.0, recorded
    names = ("model", "dataset", "training", "quality", "memory", "step-time")
    asked = [argument for name in names for argument in ("--check", name)]
    done = project.run("verify", "--json", *asked)
    assert done.code == 0 and set(checks_of(done).values()) == {"pass"}, done
    assert not FOREIGN.search(json.dumps(done.json["data"]["checks"]).replace("models/best_model.pth", "")), done
    train(project, 120, 88.0, memory=900.0)
    worse = checks_of(project.run("verify", "--json", *asked))
    assert (worse["quality"], worse["memory"], worse["training"]) == ("fail", "fail", "pass"), worse
    train(project, 30, 92.0)
    young = checks_of(project.run("verify", "--json", *asked))
    assert (young["quality"], young["training"]) == ("inconclusive", "inconclusive"), young


ASKED = [argument for name in ("model", "training", "quality") for argument in ("--check", name)]


def in_service(project: Project, *files: str) -> Project:
    """A service without a probe that has a baseline of its run. `files`: of its metrics."""
    service(project, "accuracy", probe=False, quality_margin=1.0)
    if files:
        runbook = yaml.safe_load(project.read(RUNBOOK))
        runbook["metrics"]["files"] = list(files)
        project.write(RUNBOOK, yaml.safe_dump(runbook, allow_unicode=True, sort_keys=False))
    project.start_trainer()
    assert project.run("trainer", "stop").code == 0
    for name in ("best_model.pth", "last.pth"):
        checkpoint(project.root / "models" / name)
    return project


def test_a_checkpoint_that_the_run_has_nothing_to_do_with_is_not_verified(project: Project) -> None:
    """Whole by its CRC, and never evaluated by anybody: the figures are those of another model."""
    in_service(project)
    train(project, 120, 92.0)
    assert project.run("baseline", "record").code == 0
    os.utime(project.root / "models" / "best_model.pth", (10**9, 10**9))
    (project.root / "models" / "last.pth").unlink()  # what it has resumed from is its own
    done = project.run("verify", "--json", *ASKED)
    assert checks_of(done) == {"model": "inconclusive", "training": "pass", "quality": "pass"}, done
    assert "is older than this run" in done.json["data"]["checks"][0]["detail"]
    checkpoint(project.root / "models" / "last.pth")
    [model, *_] = project.run("verify", "--json", *ASKED).json["data"]["checks"]
    assert model["verdict"] == "pass" and "models/last.pth" in model["detail"], "the one that the run has saved"


def rows(name: str, project: Project, steps: range, accuracy: float, *, error: float = 0.0) -> None:
    """Metrics of one run: an evaluation every ten steps. error: what another logger rounds off."""
    lines = [
        json.dumps({
            "step": step, "train_loss": 0.5 + 0.001 * (step % 7),
            **({"accuracy": accuracy + (step // 10 * 7 % 5 - 2) * 0.05 + error} if step % 10 == 0 else {}),
        })
        for step in steps
    ]  # fmt: skip
    project.write(name, "\n".join(lines) + "\n")


def test_an_evaluation_that_two_loggers_write_counts_once(project: Project) -> None:
    in_service(project, "logs/one.jsonl", "logs/two.jsonl")
    rows("logs/one.jsonl", project, range(1, 121), 92.0)
    assert project.run("baseline", "record").code == 0
    for name, error in (("one", 0.0), ("two", 1e-6)):
        rows(f"logs/{name}.jsonl", project, range(1, 41), 92.0, error=error)
    done = project.run("verify", "--json", *ASKED)
    [quality] = [check for check in done.json["data"]["checks"] if check["name"] == "quality"]
    assert quality["verdict"] == "inconclusive" and "4 evaluations of this run and 12" in quality["detail"], quality


def test_evaluations_of_another_run_in_the_folder_do_not_pass(project: Project) -> None:
    in_service(project, "runs/*/metrics.jsonl")
    rows("runs/a/metrics.jsonl", project, range(1, 121), 92.0)
    assert project.run("baseline", "record").code == 0
    rows("runs/b/metrics.jsonl", project, range(1, 121), 92.0)
    done = project.run("verify", "--json", *ASKED)
    assert (checks_of(done)["quality"], checks_of(done)["training"]) == ("inconclusive", "inconclusive"), done


def test_two_runs_in_one_file_do_not_pass(project: Project) -> None:
    in_service(project, "logs/one.jsonl")
    rows("logs/one.jsonl", project, range(1, 121), 92.0)
    assert project.run("baseline", "record").code == 0
    mine, other = ([json.dumps({"step": step, "train_loss": 0.5, "accuracy": 92.0 + step % 3 / 100}) for step in steps]
                   for steps in (range(1, 21), range(1001, 1021)))  # fmt: skip
    project.write("logs/one.jsonl", "\n".join(line for pair in zip(mine, other, strict=True) for line in pair) + "\n")
    done = project.run("verify", "--json", *ASKED)
    assert checks_of(done)["quality"] == "inconclusive", done
