"""The loss curve of a baseline: which rows it is made of, and what `diagnose` and `replay` make of it."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from atftctl.operations.project import open_project
from atftctl.operations.verification import loss_curve
from tests.cli.test_baselines import content
from tests.support import metrics
from tests.support.projects import Ended, Project

DATA = {"panel": "p" * 64, "horizons": [1, 5], "evaluation": 3, "losses": {"loss_rel": "squared"}}
BASELINE = ".atftctl/baselines/default.json"


def loss(step: int, pace: float = 500.0) -> float:
    noise = random.Random(step).gauss(0, 0.05)
    return round(0.5 + 0.5 * math.exp(-step / pace) + noise, 6)


def rows(generation: int, first: int, last: int, *, pace: float = 500.0, **other: object) -> list[str]:
    return [metrics.row(step, generation, **{"loss_rel": loss(step, pace), **other}) for step in range(first, last + 1)]


def write(project: Project, *parts: list[str]) -> None:
    head = ",".join((*metrics.COLUMNS, "generation"))
    project.write(metrics.FILE, "\n".join([head, *(line for part in parts for line in part)]) + "\n")


def begun(project: Project) -> dict[str, Any]:
    """Start and stop the trainer, so that there is a record of it; return the record."""
    project.start_trainer()
    assert project.run("trainer", "stop").code == 0
    project.write("logs/events.jsonl", "")
    return project.record()


def started(project: Project, *runs: dict[str, Any]) -> None:
    """The events of these starts."""
    common = {"v": 1, "event": "started", "t": metrics.BEGUN, "pid": 1, "step": 0, "measured_on": DATA}
    project.write("logs/events.jsonl", "".join(json.dumps({**common, **run}) + "\n" for run in runs))


def measured(project: Project, digest: str) -> tuple[dict[str, Any] | None, str]:
    return loss_curve.measure(open_project(project.root), digest)


def test_a_run_from_new_weights(project: Project) -> None:
    record = begun(project)
    own = {name: record[name] for name in ("run_id", "generation", "digest")}
    started(project, {**own, "resumed_from": "scratch"})
    write(project, rows(record["generation"], 1, 1500))
    curve, said = measured(project, record["digest"])
    assert curve and (curve["begin"], curve["rows"], curve["column"]) == (0, 1500, "loss_rel") and "beginning" in said
    assert curve["steps"][0] == 1 and curve["steps"][-1] == 1500 and curve["measured_on"] == DATA
    for step, value in zip(curve["steps"], curve["values"], strict=True):
        assert step < 100 or step > 1400 or abs(value - (0.5 + 0.5 * math.exp(-step / 500))) < 0.02, step
    assert curve["noise"] == pytest.approx(0.05 / math.sqrt(200), rel=0.2)


def test_a_resumed_run_goes_on_with_the_rows_that_it_descends_from(project: Project) -> None:
    """What its parent wrote after the checkpoint was discarded."""
    record = begun(project)
    number, digest = record["generation"] + 1, record["digest"]
    path = project.root / ".atftctl/process.json"
    path.write_text(json.dumps({**record, "generation": number, "run_id": "second"}))
    parent = {"run_id": "first", "generation": number - 1, "digest": digest, "resumed_from": "scratch"}
    own = {
        "run_id": "second", "generation": number, "digest": digest, "resumed_from": "last", "step": 300,
        "resumed_generation": number - 1,
    }  # fmt: skip
    discarded = rows(number - 1, 301, 400, loss_rel=9.0)
    write(project, rows(number - 1, 1, 300), discarded, rows(number, 301, 600))
    started(project, parent, own)
    curve, _ = measured(project, digest)
    assert curve and curve["rows"] == 600 and curve["begin"] == 0 and max(curve["values"]) < 1.1, curve
    started(project, {**parent, "digest": "0" * 64}, own)
    curve, said = measured(project, digest)
    assert curve and (curve["rows"], curve["begin"]) == (300, 300) and "from step 301 to 600 only" in said, said


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"digest": "0" * 64}, "other settings"),
        ({"rows": 150}, "150 rows"),
        ({"column": True}, "names no column of the loss"),
        ({"record": None}, "has not started a trainer"),
    ],
)
def test_no_curve_is_said(project: Project, change: dict[str, Any], text: str) -> None:
    record = begun(project)
    started(project, {"run_id": record["run_id"], "generation": record["generation"], "digest": record["digest"]})
    write(project, rows(record["generation"], 1, change.get("rows", 300)))
    if "column" in change:
        project.replace("runbooks/atft-gat-fan.yaml", "  loss: loss_rel\n", "")
    if "record" in change:
        (project.root / ".atftctl/process.json").unlink()
    curve, said = measured(project, change.get("digest", record["digest"]))
    assert curve is None and text in said and said.startswith("no loss curve was kept")


# --- comparing


@pytest.fixture
def slow(project: Project) -> Project:
    """A baseline with a curve, and a run that learns at a fifth of its pace."""
    record = begun(project)
    own = {name: record[name] for name in ("run_id", "generation", "digest")}
    started(project, {**own, "resumed_from": "scratch"})
    write(project, rows(record["generation"], 1, 1500))
    curve, _ = measured(project, record["digest"])
    project.write(BASELINE, content(project, curve=curve))
    write(project, rows(record["generation"], 1, 1000, pace=2500.0))
    return project


def unseen(done: Ended) -> str:
    return "; ".join(done.json["data"]["unseen"])


def test_a_loss_that_falls_too_slowly_is_recognised(slow: Project) -> None:
    done = slow.run("diagnose", "--json")
    cause = done.json["data"]["cause"]
    assert done.code == 1 and cause["symptom"] == "slow-convergence" and cause["confidence"] == "likely", done
    assert "slow convergence" not in unseen(done)
    replayed = slow.run("replay", metrics.FILE)
    assert next(line for line in replayed.out.splitlines() if line.startswith("slower\t")).split("\t")[1] == "1", (
        replayed
    )
    shown = slow.run("baseline", "show")
    assert "loss_rel of the steps 1 to 1,500, from 1,500 rows" in shown.out, shown


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"measured_on": {**DATA, "panel": "q" * 64}}, "other data"),
        ({"measured_on": {**DATA, "horizons": [1]}}, "other labels"),
        ({"measured_on": {**DATA, "losses": {"loss_rel": "huber"}}}, "another definition of the loss"),
        ({"measured_on": {}}, "not known whether the data are the same"),
        ({"column": "loss"}, "of another column, loss"),
        ({"steps": [1, 1]}, "can't be read; record it again: atftctl baseline record"),
        ({"values": [math.nan]}, "can't be read"),
        (None, "has no loss curve; add one: atftctl baseline record"),
    ],
)
def test_what_can_not_be_compared_is_said(slow: Project, change: dict[str, Any] | None, text: str) -> None:
    baseline = json.loads(slow.read(BASELINE))
    baseline["curve"] = {**baseline["curve"], **change} if change is not None else None
    slow.write(BASELINE, json.dumps(baseline))
    done = slow.run("diagnose", "--json")
    assert done.code == 0 and text in unseen(done), done
    assert slow.run("baseline", "show").code == 0


def test_another_baseline_with_a_curve_that_fits_is_taken(slow: Project) -> None:
    fits = json.loads(slow.read(BASELINE))
    slow.write(".atftctl/baselines/huber.json", json.dumps(fits))
    slow.write(".atftctl/baselines/broken.json", "{")
    other = {**fits["curve"], "measured_on": {**DATA, "losses": {"loss_rel": "huber"}}}
    slow.write(BASELINE, json.dumps({**fits, "curve": other}))
    assert slow.run("diagnose", "--json").json["data"]["cause"]["symptom"] == "slow-convergence"


def test_steps_that_the_curve_does_not_cover(slow: Project) -> None:
    write(slow, rows(slow.record()["generation"], 2001, 2500))
    assert "is of the steps 1 to 1,500 only" in unseen(slow.run("diagnose", "--json"))
