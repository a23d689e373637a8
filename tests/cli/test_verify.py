"""`verify` around its probe: what crashes, hangs or answers nonsense, what is marked, and that nothing else changes."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from atftctl.domain.checkpoint import Grade, Graded
from atftctl.operations.project import open_project
from atftctl.operations.verification import marking
from atftctl.state import grades
from tests.support.projects import CONFIG, ROOT, RUNBOOK, Ended, Project, wait_for
from tests.support.small_disk import fill, small_disk

PROBE = ROOT / "tests" / "support" / "children" / "probe.py"
PARTS = ("dataset", "model", "quality", "training", "steps")


@pytest.fixture
def probed(project: Project) -> Project:
    """With the stand-in probe, all improvements off, a baseline, and a running trainer."""
    project.replace(RUNBOOK, 'probe: ["{python}", "-m", atftctl.trainer, probe]', f'probe: ["{{python}}", {PROBE}]')
    project.replace(RUNBOOK, "probe_limit_s: 300", "probe_limit_s: 1")
    assert project.run("rollback", "--immediate", "--yes", "--no-restart").code == 0
    project.start_trainer()
    assert project.run("baseline", "record").code == 0
    return project


def misbehaving(project: Project, *words: str) -> Ended:
    project.write("probe", "\n".join(words))
    return project.run("verify", "--json", limit_s=120)


def verdicts(done: Ended) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in done.json["data"]["checks"]}


def check(done: Ended, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(check for check in done.json["data"]["checks"] if check["name"] == name)
    return found


def test_a_pass_marks_and_parts_of_it_do_not(probed: Project) -> None:
    marks = probed.root / ".atftctl/verified.jsonl"
    for partial in (("--quick",), ("--baseline-only",), ("--check", "model", "--check", "service")):
        done = probed.run("verify", "--json", *partial)
        assert done.code == 0 and done.json["data"]["skipped"], done
        assert not marks.exists() and "nothing is marked" in done.json["data"]["headline"]
    assert list(verdicts(probed.run("verify", "--json", "--baseline-only"))) == ["quality", "memory", "step-time"]
    done = probed.run("verify", "--json")
    assert done.code == 0 and set(verdicts(done).values()) == {"pass"} and len(verdicts(done)) == 8, done
    assert marks.exists() and not done.json["data"]["skipped"]
    [graded] = grades.read(open_project(probed.root).layout).values()
    assert (graded.grade, graded.steps) == ("quality", 60)


@pytest.mark.parametrize(
    ("steps", "known", "grade"), [(25, "", "quality"), (24, "", "loads"), (24, "steps", "quality")]
)
def test_a_pass_grades_as_far_as_it_has_trained(project: Project, steps: int, known: Grade, grade: str) -> None:
    project.replace(RUNBOOK, "probe_steps: 60", f"probe_steps: {steps}")
    opened = open_project(project.root)
    if known:
        grades.record(opened.layout, Graded("a", known, config="c", steps=40))
    assert marking._graded(opened, "a", "c").grade == grade


def test_verify_changes_nothing_but_its_own_marks(probed: Project) -> None:
    def kept() -> dict[str, bytes]:
        # The trainer goes on meanwhile.
        running = ("logs/", ".atftctl/verified.jsonl", ".atftctl/failed_checks.json", ".atftctl/checkpoints.json",
                   ".atftctl/lock")  # fmt: skip
        return {name: data for name, data in probed.tree().items() if not name.startswith(running)}

    before = kept()
    for arguments in ((), ("--quick",), ("--check", "quality")):
        assert probed.run("verify", *arguments).code == 0
    assert misbehaving(probed, "crash:quality").code == 1
    (probed.root / "probe").unlink()
    assert kept() == before
    [grade] = json.loads(probed.read(".atftctl/checkpoints.json"))["body"]["grades"]
    assert (grade["sha256"], grade["grade"]) == ("a" * 64, "quality"), "what passed has the highest grade"


def test_a_crash_fails_its_checks_and_keeps_the_others(probed: Project) -> None:
    done = misbehaving(probed, "crash:quality")
    assert done.code == 1, done
    expected = dict.fromkeys(("model", "dataset", "errors", "service"), "pass") | {"quality": "fail"}
    # the probe as a whole was killed: what was not begun is not known
    assert verdicts(done) == expected | dict.fromkeys(("training", "memory", "step-time"), "inconclusive")
    assert check(done, "quality")["log"] == ["measuring quality"]
    assert "signal 9" in check(done, "quality")["detail"]


@pytest.mark.parametrize(
    ("word", "text", "hint"),
    [
        ("nothing", "exit code 4", "pip install"),
        ("kill", "signal 11", "trainer.probe"),
        ("hang", "did not end within 6 s", "trainer.probe"),
        ("flood", "MB of output", "trainer.probe"),
        ("forks", "more than 64 processes", "trainer.probe"),
    ],
)
def test_a_probe_that_measures_nothing_is_never_a_pass(probed: Project, word: str, text: str, hint: str) -> None:
    begun = time.monotonic()
    done = misbehaving(probed, word)
    assert done.code == 6 and text in check(done, "quality")["detail"], done
    assert hint in check(done, "quality")["hint"] and verdicts(done)["service"] == "pass"
    assert check(done, "model")["log"][0].startswith("the probe begins") or word == "flood"
    assert time.monotonic() - begun < 240


def test_a_daemon_that_the_probe_leaves_is_killed(probed: Project) -> None:
    done = misbehaving(probed, "daemon")
    assert done.code == 0, done
    wait_for(lambda: (probed.root / "daemon.pid").exists())
    pid = (probed.root / "daemon.pid").read_text()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or " Z " in Path(f"/proc/{pid}/stat").read_text())
    assert probed.run("trainer", "status", "--json").json["data"]["state"] == "running", "and nobody else"


def test_answers_of_other_probes(probed: Project) -> None:
    """A program that writes one answer for all parts will do; half an answer is none."""
    assert misbehaving(probed, "whole").code == 0
    done = misbehaving(probed, "garbage:model")
    assert done.code == 1 and verdicts(done)["model"] == "fail" and verdicts(done)["quality"] == "pass", done


def test_a_trainer_that_is_not_there_is_inconclusive_with_what_to_do(probed: Project) -> None:
    probed.replace(RUNBOOK, f'probe: ["{{python}}", {PROBE}]', 'probe: ["/no/such/python", x]')
    done = probed.run("verify", "--json")
    assert done.code == 6 and "can't start /no/such/python" in check(done, "model")["detail"], done
    recorded = probed.run("baseline", "record")
    assert recorded.code == 6 and "can't start /no/such/python" in recorded.err and "pip install" in recorded.err


def test_a_baseline_that_can_not_be_measured_keeps_the_old_one(probed: Project) -> None:
    before = probed.read(".atftctl/baselines/default.json")
    probed.write("probe", "crash:steps")
    done = probed.run("baseline", "record")
    assert done.code == 3 and "measuring steps" in done.err and "was kept" in done.err, done
    assert probed.read(".atftctl/baselines/default.json") == before


@pytest.mark.parametrize(("word", "text"), [("constant", "no value on any date"), ("edit", "was changed during")])
def test_a_baseline_of_nothing_or_of_other_settings_keeps_the_old_one(probed: Project, word: str, text: str) -> None:
    before = probed.read(".atftctl/baselines/default.json")
    probed.write("probe", word)
    done = probed.run("baseline", "record")
    assert done.code == 3 and text in done.err and "was kept" in done.err, done
    assert probed.read(".atftctl/baselines/default.json") == before


def test_a_second_baseline_is_not_used_before_it_is_chosen(probed: Project) -> None:
    done = probed.run("baseline", "record", "--name", "second", "--json")
    assert done.code == 0 and done.json["data"]["in_use"] is False, done
    assert "baseline set second" in done.json["data"]["lines"][0]
    assert probed.run("baseline", "set", "second").code == 0
    assert probed.run("baseline", "record", "--json").json["data"]["name"] == "second", "the one in use is replaced"


def test_a_clock_that_jumped_changes_no_verdict(probed: Project) -> None:
    """Durations are monotonic, and errors are counted from a place in the log, not from a time."""
    path = ".atftctl/baselines/default.json"
    probed.write(path, probed.read(path).decode().replace('"recorded": "2', '"recorded": "9'))
    assert probed.run("verify").code == 0
    shown = probed.run("baseline", "list")
    assert shown.code == 0 and "default" in shown.out, shown


def test_the_curve_as_a_picture(probed: Project, tmp_path: Path) -> None:
    picture = tmp_path / "quality.svg"
    assert probed.run("verify", "--quick", "--plot", str(picture)).code == 0
    assert "<svg" in picture.read_text() and "RankIC@1d" in picture.read_text()
    refused = probed.run("verify", "--plot", str(probed.root / CONFIG))
    assert refused.code == 2 and "svg" in refused.err, "a config that is named by mistake is not overwritten"


def test_a_failed_check_names_a_way_back_only_where_there_is_one(project: Project) -> None:
    project.replace(RUNBOOK, 'probe: ["{python}", "-m", atftctl.trainer, probe]', f'probe: ["{{python}}", {PROBE}]')
    project.write("probe", "crash:quality")
    done = project.run("verify")
    assert done.code == 1 and "atftctl undo" not in done.out and "next: see what the trainer wrote" in done.out, done
    assert project.run("rollback", "--immediate", "--yes", "--no-restart").code == 0
    assert "atftctl undo" in project.run("verify").out


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_loses_nothing_and_says_nothing_untrue(probed: Project, tmp_path: Path) -> None:
    """`baseline record` said that it had recorded a baseline; `verify --junit` did not say what it had measured."""
    with small_disk(tmp_path / "disk") as disk:
        shutil.copytree(probed.root, disk / "project")
        small = Project(disk / "project", probed.env)
        (small.root / ".atftctl" / "reserve").unlink(missing_ok=True)
        before = small.read(".atftctl/baselines/default.json")
        fill(disk)
        recorded = small.run("baseline", "record")
        assert recorded.code == 3 and "No space left" in recorded.err, recorded
        assert "nothing was changed" in recorded.err and small.read(".atftctl/baselines/default.json") == before
        reported = small.run("verify", "--check", "model", "--junit", "verify.xml")
        assert reported.code == 3 and "verify.xml can't be written: No space left" in reported.err, reported
        assert "ok: model loads: models/best_model.pth" in reported.err and not (small.root / "verify.xml").exists()
        halted = small.run("reenable", "--halt")
        assert halted.code == 3 and "nothing was changed" in halted.err, halted
