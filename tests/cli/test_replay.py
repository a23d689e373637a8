"""`atftctl replay`: what the detectors would have said on past runs, with bounds."""

from __future__ import annotations

import time

import pytest

from atftctl.decide.diagnosis.replayed import upper_bound
from tests.support.projects import RUNBOOK, Project
from tests.support.series import healthy, with_fault

HEAD = "step,loss_rel,grad_norm,rss_mb,step_s,generation\n"


def write(project: Project, name: str, *runs: object, extra: str = "") -> None:
    """A file with the rows of these runs, one generation after the other."""
    lines = [
        ",".join(map(str, (row.step, *row.values.values(), number)))  # type: ignore[attr-defined]
        for number, run in enumerate(runs, 1)
        for row in run  # type: ignore[attr-defined]
    ]
    project.write(name, HEAD + "\n".join(lines) + "\n" + extra)


def test_healthy_runs_have_a_bound(project: Project) -> None:
    write(project, "past/a.csv", healthy(1500, 1), healthy(1500, 2), extra="torn,1\n")
    before = project.tree()
    done = project.run("replay", "past/a.csv", "--json")
    data = done.json["data"]
    assert done.code == 0 and (data["runs"], data["rows"], data["healthy"], data["torn"]) == (2, 3000, 3000, 1), done
    assert all(line["false_alarms"] == 0 for line in data["detectors"] if line["name"] != "spike")
    assert data["detectors"][0]["upper"] == pytest.approx(1e4 * 3 / 3000, rel=0.01), "the rule of three"
    assert {line["name"] for line in data["detectors"]} >= {
        "non-finite",
        "explosion",
        "drift",
        "leak",
        "loss-threshold",
    }
    assert project.tree() == before


def test_a_fault_has_a_delay(project: Project) -> None:
    for seed in (1, 2):
        write(project, f"past/{seed}.csv", with_fault("plus-50", 500, 700, seed))
    done = project.run("replay", "past/1.csv", "past/2.csv", "--fault-at", "500")
    drift = next(line.split("\t") for line in done.out.splitlines() if line.startswith("drift"))
    assert done.code == 0 and drift[1] == "0" and drift[4] == "2/2" and float(drift[5].split(" / ")[1]) <= 25, done
    data = project.run("replay", "past/1.csv", "--json").json["data"]
    assert sum(line["false_alarms"] for line in data["detectors"]) >= 1, "without --fault-at, each alarm is a false one"


def test_a_detector_is_measured_on_the_values_that_it_judges(project: Project) -> None:
    """No value is no proof, and a loss below 0 has no logarithm."""
    rows = "".join(f"{step},{-1 - step % 7 / 100}\n" for step in range(500))
    project.write("past/negative.csv", "step,loss_rel\n" + rows)
    done = project.run("replay", "past/negative.csv", "--json")
    judged = {line["name"]: (line["judged"], line["upper"]) for line in done.json["data"]["detectors"]}
    assert done.code == 0 and judged["non-finite"] == (500, pytest.approx(1e4 * 3 / 500, rel=0.01))
    assert {judged[name] for name in ("explosion", "drift", "spike", "leak", "step-time")} == {(0, None)}
    shown = project.run("replay", "past/negative.csv").out
    assert next(line.split("\t")[1:] for line in shown.splitlines() if line.startswith("leak")) == ["–"] * 3
    project.write("past/foo.csv", "step,foo\n" + rows)
    done = project.run("replay", "past/foo.csv")
    assert done.code == 3 and "no detector has a value to judge" in done.err, done


def test_the_bound_of_many_events_is_quick() -> None:
    begun = time.process_time()
    assert 0.02 < upper_bound(20_000, 1_000_000) < 0.0203
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["none.csv"], 3, "can't be read"),
        (["runbooks/atft-gat-fan.yaml"], 3, "holds no rows"),
        (["."], 3, "can't be read"),
        (["past.csv", "./past.csv"], 2, "given twice"),
        ([], 2, "METRICS"),
        (["past.csv", "--fault-at", "-1"], 2, "fault-at"),
    ],
)
def test_what_cannot_be_replayed(project: Project, arguments: list[str], code: int, text: str) -> None:
    write(project, "past.csv", healthy(10, 1))
    done = project.run("replay", *arguments)
    assert done.code == code and text in done.err, done


def test_the_bound_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for events, trials in ((0, 30_000), (1, 50), (3, 10_000), (40, 1000), (49, 50)):
        assert upper_bound(events, trials) == pytest.approx(stats.beta.ppf(0.95, events + 1, trials - events))
    assert upper_bound(0, 0) == upper_bound(5, 5) == 1.0


# --- thresholds


def test_thresholds_are_proposed_and_nothing_is_changed(project: Project) -> None:
    for seed in (1, 2):
        write(project, f"past/{seed}.csv", with_fault("slower-steps", 300, 600, seed))
    before = project.tree()
    done = project.run("replay", "past/1.csv", "past/2.csv", "--tune", "--json")
    data = done.json["data"]
    lines = {line["key"]: line for line in data["thresholds"]}
    assert done.code == 0 and data["runs"] == 2 and project.tree() == before, done
    wrong = lines["step_time_ratio"]
    assert wrong["old"]["false_alarms"] >= 2 and wrong["new"]["false_alarms"] == 0 and wrong["new"]["value"] > 1.2, (
        wrong
    )
    assert not wrong["proven"] and wrong["more_steps"] > 20_000 and "more healthy steps" in " ".join(data["lines"])
    assert lines["drift_h"]["new"] == lines["drift_h"]["old"], "too few steps propose nothing tighter"
    assert data["yaml"] == ["detection:", f"  step_time_ratio: {wrong['new']['value']:g}"], data["yaml"]
    project.write(RUNBOOK, project.read(RUNBOOK).decode() + "\n" + "\n".join(data["yaml"]) + "\n")
    assert project.run("runbook", "lint").code == 0
    again = project.run("replay", "past/1.csv", "past/2.csv", "--json").json["data"]
    assert next(line for line in again["detectors"] if line["name"] == "step-time")["false_alarms"] == 0, "they act"
    shown = project.run("replay", "past/1.csv", "past/2.csv", "--tune")
    assert "no threshold needs to change" in shown.out, shown


def test_thresholds_by_runs_with_a_fault_have_delays(project: Project) -> None:
    write(project, "past/1.csv", with_fault("plus-50", 300, 400, 1))
    done = project.run("replay", "past/1.csv", "--tune", "--fault-at", "300")
    drift = next(line.split("\t") for line in done.out.splitlines() if line.startswith("drift_h\t"))
    assert done.code == 0 and drift[1:3] == ["20", "0"] and drift[5] == "1/1" and float(drift[6]) <= 25, done


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("detection: {drift_h: 2}", "2.0 is out of its range, 5 to 1000"),
        ("detection: {drift_h: .nan}", "out of its range"),
        ("detection: {leak_growth: fast}", "leak_growth"),
        ("detection: {drift_k: 1}", "drift_h"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(project: Project, text: str, problem: str) -> None:
    project.write(RUNBOOK, project.read(RUNBOOK).decode() + f"\n{text}\n")
    done = project.run("runbook", "lint")
    assert done.code == 1 and problem in " ".join((done.out + done.err).split()), done
