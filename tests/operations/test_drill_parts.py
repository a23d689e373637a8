"""The parts of a drill that need no trainer: times, verdicts, the page, and what the runbook may say."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from atftctl import protocol
from atftctl.cli.render import drill_page
from atftctl.domain.acting import Act, Outcome
from atftctl.domain.errors import Inconclusive, InterventionNeeded, Refused, UsageError
from atftctl.domain.result import Result, Silent
from atftctl.operations.drill import incident, rehearsal
from atftctl.operations.drill.drill import Drill
from atftctl.operations.drill.outcome import EXIT_OF, DrillData, Rehearsed, Verdict, overall, sentence
from atftctl.operations.drill.timeline import TimedReporter, Timeline
from atftctl.operations.project import open_project
from tests.support.projects import RUNBOOK, Project, wait_for

PARTS = {"decide": 3.0, "evidence": 0.1, "stop": 4.0, "snapshot": 0.5, "files": 0.1, "start": 0.2, "first step": 6.0}
LINE = Timeline(1000.0, 1002.0, 1010.0, 1024.5, graded_s=2.5, parts=PARTS, verify_s=30.0, reenable_s=20.0)


def rehearsed(verdict: Verdict = "restored", symptom: str = "oom", obstacle: str | None = None) -> Rehearsed:
    return Rehearsed(
        symptom, f"the {symptom} | title", verdict, obstacle, 5, 200.0, LINE.seconds(),
        {"checks": {"model": "pass: <it> loads"}}, ("  1.0 s  part: outcome",), None if verdict == "restored" else "/x y",
    )  # fmt: skip


def result(*drills: Rehearsed) -> Result:
    data = DrillData(overall(drills), 400.0, drills, ("other",))
    return Result("drill", EXIT_OF[data.verdict], sentence(data), data=data)


def test_the_times_add_up_and_what_the_trainer_takes_is_not_ours() -> None:
    times = LINE.seconds()
    assert (times.detect, times.decide, times.reaction) == (2.0, 8.0, 14.5)
    assert (times.stop, times.first_step, times.grade) == (4.0, 6.0, 2.5)
    parts = [times.prepare, times.stop, times.change, times.start, times.first_step]
    assert sum(part or 0.0 for part in parts) == pytest.approx(times.reaction)
    assert times.own == pytest.approx(14.5 - 4.0 - 6.0 - 2.5)


def test_without_a_rollback_there_are_no_times_of_it() -> None:
    assert Timeline().seconds().detect is None
    seen = Timeline(fault=10.0, alarm=12.0).seconds()
    assert (seen.detect, seen.reaction, seen.own) == (2.0, None, None)


def test_the_reporter_counts_what_grading_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 4.0, 5.0, 7.0])
    monkeypatch.setattr("atftctl.operations.drill.timeline.time.monotonic", lambda: next(clock))
    report = TimedReporter(Silent())
    for name in ("decide", "grade", "decide", "grade", "decide"):
        report.part(name)
    assert report.graded_s() == 5.0


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (("restored", "restored"), "restored"),
        (("inconclusive", "restored"), "inconclusive"),
        (("inconclusive", "not restored"), "not restored"),
    ],
)
def test_the_worst_verdict_counts(verdicts: tuple[Verdict, ...], worst: Verdict) -> None:
    drills = tuple(rehearsed(verdict, f"s{number}", "why") for number, verdict in enumerate(verdicts))
    assert overall(drills) == worst
    assert ("s0" in sentence(DrillData(worst, 1.0, drills))) is (verdicts[0] != "restored")


@pytest.mark.parametrize("suffix", ["md", "html"])
def test_the_page_has_all_drills_and_no_markup_of_theirs(tmp_path: Path, suffix: str) -> None:
    page = tmp_path / f"drill.{suffix}"
    drill_page.check(page)
    drill_page.write(
        page, result(rehearsed(), rehearsed("not restored", "leak", "it <b>came</b> back")), "Service", "en"
    )
    text = page.read_text()
    assert "14.50 s" in text and "5 min" in text and "/x y" in text and "not restored" in text
    if suffix == "html":
        assert "<b>" not in text and "&lt;b&gt;" in text
    else:
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert len({line.count("|") for line in rows}) == 1, "as many cells in each row"


@pytest.mark.parametrize("name", ["drill.txt", "drill", "missing/drill.md"])
def test_another_name_is_refused_before_the_drill(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        drill_page.check(tmp_path / name)


def test_what_cannot_be_rehearsed_is_refused_at_once(project: Project) -> None:
    for arguments in (
        ["--symptom", "nonsense"],
        ["--all", "--symptom", "oom"],
        ["--report", "x.txt"],
        ["--data", "no"],
    ):
        ended = project.run("drill", *arguments)
        assert ended.code == 2, (arguments, ended)
    project.replace(RUNBOOK, "    slow-convergence:\n      how:", "    slow-convergenc:\n      how:")
    ended = project.run("drill")
    assert ended.code == 3 and "slow-convergence" in ended.err, "the nearest name"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("resume: scratch\n      healthy", "resume: newest\n      healthy", "scratch"),
        ("metric: rss_mb, times", "metric: rss_m, times", "rss_mb"),
        ("times: 2.0", "times: 0.5", "above 1"),
        ("keep_off: [huber_loss, loss_type,", "keep_off: [huber, loss_type,", "huber_loss"),
        ("      memory_limit: true\n", "", "nothing makes the fault"),
        ("healthy_steps: 520", "healthy_steps: 0", "healthy_steps"),
        ("{scheduler.warmup_steps: 20000}", "{scheduler..warmup_steps: 20000}", "scheduler"),
    ],
)
def test_a_wrong_drill_is_a_problem_of_the_runbook(project: Project, old: str, new: str, said: str) -> None:
    project.replace(RUNBOOK, old, new)
    lint = project.run("runbook", "lint")
    assert lint.code == 1 and said in lint.out + lint.err, lint


def test_a_symptom_without_a_drill_is_named(project: Project) -> None:
    text = project.read(RUNBOOK).decode()
    begin, end = text.index("    memory-leak:\n      how:"), text.index("contacts:\n")
    project.write(RUNBOOK, text[:begin] + "\n" + text[end:])
    ended = project.run("drill", "--symptom", "memory-leak")
    assert ended.code == 2 and "memory-leak" in ended.err and "divergence" in ended.err


def test_a_drill_that_fails_keeps_everything_and_says_where(project: Project, tmp_path: Path) -> None:
    """The stand-in trainer dies at once, and no healthy run comes of it."""
    project.behave("die")
    project.env["TMPDIR"] = str(tmp_path)
    page = tmp_path / "page.md"
    ended = project.run("drill", "--symptom", "divergence", "--json", "--report", str(page))
    assert ended.code == 1, ended
    drill = ended.json["data"]["drills"][0]
    assert drill["verdict"] == "not restored" and drill["obstacle"]
    assert (Path(drill["folder"]) / RUNBOOK).exists() and drill["folder"] in page.read_text()
    assert json.dumps(drill["seconds"]["reaction"]) == "null"
    before = {name: data for name, data in project.tree().items() if name.startswith(("configs", "models"))}
    assert before, "the project itself is as it was"


@pytest.mark.parametrize(
    ("error", "verdict", "code"),
    [
        (None, "restored", 0),
        (Inconclusive("too few dates"), "inconclusive", 6),
        (InterventionNeeded("verify: fail", state="quality"), "not restored", 1),
        (Refused("refused"), "not restored", 1),
        (OSError(28, "No space left on device"), "not restored", 1),
    ],
)
def test_what_ends_a_drill_is_its_verdict(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, verdict: str, code: int
) -> None:
    def ends(drill: Drill, home: Path, data: str) -> None:
        (home / "project").mkdir()
        if error:
            raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(rehearsal, "_run_parts", ends)
    ended = rehearsal.run(open_project(project.root), "divergence", "", Silent())
    (drill,) = ended.data["drills"]
    assert (drill.verdict, ended.exit_code) == (verdict, code)
    assert (drill.obstacle is None) is (error is None)
    assert (drill.folder is None) is (error is None), "what failed is kept"
    assert bool(list(tmp_path.glob("atftctl-drill-*"))) is (error is not None)


def test_an_interrupted_drill_leaves_nothing(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(drill: Drill, home: Path, data: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(rehearsal, "_run_parts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rehearsal.run(open_project(project.root), "", "", Silent())
    assert not list(tmp_path.glob("atftctl-drill-*"))


def test_a_drill_that_waits_for_a_first_step_ends_where_it_is_interrupted(project: Project, tmp_path: Path) -> None:
    """An operation says by its result that its wait was interrupted: the drill went on as if nothing had happened."""
    project.behave("silent")
    project.env["TMPDIR"] = str(tmp_path)
    child = project.start("drill", "--symptom", "divergence")
    wait_for(lambda: bool(list(tmp_path.glob("atftctl-drill-*/project/.atftctl/process.json"))))
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, (child.returncode, out, err)
    assert not list(tmp_path.glob("atftctl-drill-*")), "the trainer was stopped, and the copy removed"


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ("inconclusive", Inconclusive),
        ("not restored", InterventionNeeded),
        ("failed", InterventionNeeded),
        ("put back", InterventionNeeded),
    ],
)
def test_nothing_but_restored_is_a_pass(
    project: Project, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, error: type[Exception]
) -> None:
    act = Act("a", 1.0, "auto", "divergence", "f", 1, 2, ended=2.0, outcome=outcome)
    monkeypatch.setattr(incident, "_watch", lambda drill, is_over: act)
    opened = open_project(project.root)
    drill = Drill(opened, Silent(), "divergence", opened.runbook.drill.faults["divergence"], seen={"act": {}})
    with pytest.raises(error):
        incident.settle(drill)


def test_the_environment_of_the_fault_ends_with_the_incident(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_project(project.root)
    drill = Drill(opened, Silent(), "memory-leak", opened.runbook.drill.faults["memory-leak"])
    monkeypatch.setenv(protocol.DRILL_LEAK_MB, "before")
    with drill.incident_environment():
        assert os.environ[protocol.DRILL] == "1" and float(os.environ[protocol.DRILL_LEAK_MB]) > 0
    assert protocol.DRILL not in os.environ and os.environ[protocol.DRILL_LEAK_MB] == "before"


@pytest.mark.parametrize("argv", [("{python}", "-c", "import sys; sys.exit('broken')"), ("/no/such/program",)])
def test_a_fault_that_can_not_be_made_is_said(project: Project, argv: tuple[str, ...]) -> None:
    opened = open_project(project.root)
    drill = Drill(opened, Silent(), "divergence", opened.runbook.drill.faults["divergence"])
    with pytest.raises(InterventionNeeded, match="broken|such"):
        drill.run_command(argv)
