"""`watch --auto` starts only where replay or a shadow has shown that it is right."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

from atftctl.domain.diagnosis import Diagnosis, Evidence, Hypothesis
from atftctl.operations.project import open_project
from atftctl.state import earned as earned_state
from tests.cli.test_replay import write
from tests.support.looks import decided, look_at
from tests.support.projects import RUNBOOK, Project, wait_for
from tests.support.series import healthy, with_fault


def acts(project: Project, *paths: str) -> dict[str, Any]:
    """What `replay` says about what the watcher would have done."""
    done = project.run("replay", *paths, "--json")
    assert done.code == 0, done
    return dict(done.json["data"]["acts"])


def refusal(project: Project) -> str:
    done = project.run("watch", "--auto", "--once")
    assert done.code == 3, done
    return done.err


def test_thirty_thousand_healthy_steps_are_enough_with_these_thresholds(project: Project) -> None:
    project.start_trainer()
    project.run("trainer", "stop")
    write(project, "past/metrics.csv", healthy(30_100, 1))
    assert acts(project, "past/metrics.csv")["missing"] == 0
    allowed = project.run("watch", "--auto", "--once")
    assert allowed.code in (0, 1, 6) and "not earned" not in allowed.err, allowed
    again = acts(project, "past/metrics.csv")
    assert 30_000 <= again["own_steps"] <= 30_100 and again["own_upper"] <= 1.0, "the same rows are counted once"
    project.replace(RUNBOOK, "above: 2.0", "above: 2.5")
    assert "nothing was shown with these thresholds" in refusal(project)
    project.replace(RUNBOOK, "above: 2.5", "above: 2.0")
    assert project.run("rollback", "--symptom", "oom", "--yes").code == 0
    assert "nothing was shown" in refusal(project), "a generation that was rolled back was not healthy"


def test_runs_of_others_count_for_nothing(project: Project, tmp_path: Path) -> None:
    write(project, "past/metrics.csv", healthy(300, 1))
    counted = acts(project, "past/metrics.csv")
    assert counted["own_steps"] == 0 and "not this service's own" in counted["notes"][0], "no trainer was started here"
    project.start_trainer()
    project.run("trainer", "stop")
    assert acts(project, "past/metrics.csv")["own_steps"] > 200
    (project.root / ".atftctl/earned.json").unlink()
    shutil.move(project.root / "past/metrics.csv", tmp_path / "metrics.csv")
    assert acts(project, str(tmp_path / "metrics.csv"))["own_steps"] == 0, "it lies elsewhere"
    (project.root / "link.csv").symlink_to(tmp_path / "metrics.csv")
    done = project.run("replay", "link.csv", "--json")
    assert done.code == 3 or done.json["data"]["acts"]["own_steps"] == 0, done


def test_the_refusal_says_what_is_missing(project: Project) -> None:
    said = refusal(project)
    assert "30,000 more healthy steps" in said and "atftctl replay" in said and "--trust-defaults" in said, said
    project.start_trainer()
    project.run("trainer", "stop")
    write(project, "past/metrics.csv", healthy(1100, 1))
    counted = acts(project, "past/metrics.csv")
    missing = counted["missing"]
    assert missing == 30_000 - counted["own_steps"]
    assert f"{missing:,} more healthy steps" in refusal(project)
    assert project.run("watch", "--auto", "--once", "--trust-defaults").code != 3


def test_a_false_rollback_needs_more_steps(project: Project) -> None:
    """No fault was at work, as far as anybody knows: two columns leap by themselves."""
    project.start_trainer()
    project.run("trainer", "stop")

    def leaping() -> Any:
        for row in with_fault("plus-50", 500, 900, 3):
            norm = row.values["norm"] * (30 if row.step >= 500 else 1)
            yield row._replace(values={**row.values, "norm": norm})

    write(project, "past/metrics.csv", leaping())
    counted = acts(project, "past/metrics.csv")
    assert (counted["false_acts"], counted["own_false_acts"]) == (1, 1) and counted["missing"] > 45_000, counted
    at_fault = project.run("replay", "past/metrics.csv", "--fault-at", "500", "--json").json["data"]["acts"]
    assert (at_fault["false_acts"], at_fault["acted"]) == (0, 1) and at_fault["delay"] <= 25
    assert at_fault["own_false_acts"] == 1, "what was shown before is not taken back"
    assert "1 false rollback in" in refusal(project)


def test_a_shadow_adds_its_steps(project: Project) -> None:
    project.start_trainer()
    watcher = project.start("watch", "--shadow", "--interval", "0.1")
    wait_for(lambda: shown(project) > 150, 40)
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=20)
    before = shown(project)
    look = look_at(project.root)
    assert decided(project, "shadow", step=look.step + 10_000)["kind"] == "idle"
    assert shown(project) == before, "steps that nobody watched"
    project.behave("oom")
    project.run("trainer", "restart")
    assert decided(project, "shadow")["kind"] == "propose"
    assert shown(project) == before, "the run that died adds none"


def test_a_shadow_counts_also_what_its_budget_would_have_stopped(project: Project) -> None:
    project.start_trainer()
    signs = tuple(
        Evidence("metrics", "strong", "anomaly", name, detector=name, column=column)
        for name, column in (("drift", "loss_rel"), ("explosion", "grad_norm"))
    )
    diagnosis, now = Diagnosis(False, (Hypothesis("anomaly", "likely", signs),)), time.time()
    for number in range(6):
        held = decided(project, "shadow", now=now + 400 * number, diagnosis=diagnosis, step=100 + number)
        assert held["kind"] == "propose", held
        assert ("it would have called a person" in held["why"]) == (number >= 3), held
        assert decided(project, "shadow", now=now + 400 * number + 1, diagnosis=diagnosis)["kind"] == "hold"
    [span] = next(iter(earned_state.read(open_project(project.root).layout).values()))
    assert span.acts == 6


def shown(project: Project) -> int:
    done = project.run("watch", "--auto", "--once")
    if "nothing was shown" in done.err:
        return 0
    return int(done.err.split(" in ")[1].split(" healthy")[0].replace(",", "")) if " in " in done.err else 0


def test_rows_without_a_generation_are_nobodys(project: Project) -> None:
    project.start_trainer()
    project.run("trainer", "stop")
    rows = "".join(f"{row.step},{row.values['loss']}\n" for row in healthy(500, 1))
    project.write("past/metrics.csv", "step,loss_rel\n" + rows)
    assert acts(project, "past/metrics.csv")["own_steps"] == 0
