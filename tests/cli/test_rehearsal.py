"""`--rehearse`, `--force` and `--with` as a user meets them. What the probe answers is written by the test; with the
real trainer: tests/operations/test_real_rehearsal.py."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import CONFIG, ROOT, RUNBOOK, TRAINING, Ended, Project, processes_of

PROBE = ROOT / "tests" / "support" / "children" / "rehearsing.py"
ROLLBACK = ("rollback", "--feature", "freq_dropout_p", "--no-restart")
NOW = b"freq_dropout_p: 0.1"


@pytest.fixture
def rehearsing(project: Project) -> Project:
    """The project with a probe that answers what `answer.json` holds: at first, that all is well."""
    line = next(line for line in project.read(RUNBOOK).decode().splitlines() if line.startswith("  probe:"))
    project.replace(RUNBOOK, line, f'  probe: ["{{python}}", {PROBE}]')
    project.replace(RUNBOOK, "memory_limit_mb: 0", "memory_limit_mb: 438")
    answers(project, side(2.692))
    return project


def side(loss: float = 2.704, steps: int = 60, code: int = 0, reason: str = "") -> dict[str, Any]:
    rows = [{"step": at + 1, "loss": loss, "loss_rel": 0.9, "grad_norm": 0.5, "seconds": 0.03} for at in range(steps)]
    peak = {"data_mb": 412.4, "device": "cpu"}
    return {"rows": rows, "exit_code": code, "reason": reason, "source": "models/last.pth", "peak": peak}


def answers(project: Project, planned: dict[str, Any]) -> None:
    more = {"same_batches": True, "same_loss": True, "step_s_ratio": [0.98, 0.93, 1.04]}
    project.write("answer.json", json.dumps({"planned": planned, "current": side(), **more}))


def refused(ended: Ended, *texts: str) -> None:
    assert ended.code == 3 and all(text in ended.err for text in texts), ended
    assert "now: nothing was changed" in ended.err and "--force" in ended.err, ended


def changed_files(project: Project, before: dict[str, bytes]) -> set[str]:
    """Files of the project that a command changed, without the probe's own."""
    now = project.tree()
    return {name for name in {**before, **now} if before.get(name) != now.get(name)} - {"asked.txt"}


def test_the_plan_says_how_it_went_and_nothing_is_touched(rehearsing: Project) -> None:
    before = rehearsing.tree()
    dry = rehearsing.run(*ROLLBACK, "--rehearse", "--dry-run", "--json")
    assert dry.code == 0 and not changed_files(rehearsing, before), dry
    data = dry.json["data"]
    assert data["plan"]["steps"][0]["text"] == (
        "rehearsed in a scratch copy, from models/last.pth: fits: peak 412 of 438 MB (VmData against RLIMIT_DATA); "
        "loss 2.70 → 2.69; time a step 0.98 × [0.93, 1.04]; no fault in 60 steps"
    )
    assert data["rehearsal"]["verdict"] == "pass" and data["rehearsal"]["peak_mb"] == 412.4
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob("atftctl-*/out/measured.json"))
    asked = rehearsing.read("asked.txt").decode().splitlines()
    assert asked[asked.index("--steps") + 1] == "60" and asked[asked.index("--memory-limit-mb") + 1] == "438"
    assert asked.count("--config") == asked.count("--baseline-config") == 2

    done = rehearsing.run(*ROLLBACK, "--rehearse", "60", "--yes", "--json")
    assert done.code == 0 and NOW not in rehearsing.read(CONFIG), done
    assert done.json["data"]["rehearsal"]["verdict"] == "pass"
    entry = rehearsing.run("history", "--json").json["data"]["operations"][-1]
    assert entry["about"]["rehearsal"]["loss_after"] == pytest.approx(2.692) and "forced" not in entry["about"]


def test_a_failed_rehearsal_refuses_the_change_unless_it_is_forced(rehearsing: Project) -> None:
    answers(rehearsing, side(steps=3, code=11, reason="no room"))
    before = rehearsing.tree()
    for more in (("--yes",), ("--dry-run",)):
        refused(rehearsing.run(*ROLLBACK, "--rehearse", *more), "the rehearsal failed", "does not fit: out of memory")
    assert not changed_files(rehearsing, before)
    forced = (*ROLLBACK, "--rehearse", "--yes", "--force", "the other card is bigger")
    done = rehearsing.run(*forced)
    assert done.code == 0 and NOW not in rehearsing.read(CONFIG), done
    assert "not passed, forced (the other card is bigger): does not fit" in done.out.replace("\n     ", " ")
    entry = rehearsing.run("history", "--json").json["data"]["operations"][-1]
    assert entry["about"]["forced"] == "the other card is bigger"
    assert entry["about"]["rehearsal"]["verdict"] == "fail"


def test_fewer_steps_than_asked_for_are_no_pass(rehearsing: Project) -> None:
    answers(rehearsing, side(steps=59))
    refused(rehearsing.run(*ROLLBACK, "--rehearse", "--yes"), "inconclusive", "59 of 60", "without --rehearse")


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        ("[nonesuch-program]", "can't start nonesuch-program"),
        ("[sh, '-c', 'echo no such kind >&2; exit 2']", "exit code 2"),
        ("[sh, '-c', 'kill -9 $$']", "killed by signal 9"),
        ("['true']", "it gave no answer"),
    ],
)
def test_a_probe_that_measures_nothing(rehearsing: Project, probe: str, text: str) -> None:
    line = next(line for line in rehearsing.read(RUNBOOK).decode().splitlines() if line.startswith("  probe:"))
    rehearsing.replace(RUNBOOK, line, f"  probe: {probe}")
    before = rehearsing.tree()
    refused(rehearsing.run(*ROLLBACK, "--rehearse", "--yes"), "inconclusive", text)
    assert not changed_files(rehearsing, before)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"error": "torch is broken"}', '{"planned": {"rows": 3}}', "null"])
def test_a_probe_that_answers_nonsense(rehearsing: Project, text: str) -> None:
    rehearsing.write("answer.json", text)
    refused(rehearsing.run(*ROLLBACK, "--rehearse", "--yes"), "inconclusive")
    assert NOW in rehearsing.read(CONFIG)


def test_words_that_are_no_number_of_steps(rehearsing: Project) -> None:
    for command in (("rollback", "--rehearse", "abc"), ("rollback", "--symptom", "oom", "--rehearse", "1e3")):
        done = rehearsing.run(*command)
        assert done.code == 2 and f"{command[-1]}: --rehearse takes a number of steps" in done.err, done


def test_the_plan_says_that_it_was_rehearsed_in_one_process(rehearsing: Project) -> None:
    rehearsing.replace(RUNBOOK, "processes: 1", "processes: 2")
    done = rehearsing.run(*ROLLBACK, "--rehearse", "--dry-run")
    assert done.code == 0 and "rehearsed in one process; the trainer runs 2 processes" in done.out, done


def test_a_probe_that_hangs_is_killed(rehearsing: Project) -> None:
    rehearsing.replace(RUNBOOK, "probe_limit_s: 300", "probe_limit_s: 1")
    rehearsing.write("hang", "")
    begun = time.monotonic()
    refused(rehearsing.run(*ROLLBACK, "--rehearse", "--yes"), "did not end within 1 s")
    assert time.monotonic() - begun < 240 and not processes_of(rehearsing.root)


@pytest.mark.parametrize("steps", ["0", "-5", "abc", "1001", "9" * 30, "1.5", "60 "])
def test_wrong_numbers_of_steps(rehearsing: Project, steps: str) -> None:
    ended = rehearsing.run(*ROLLBACK, f"--rehearse={steps}", "--yes")
    assert ended.code == 2 and "is not a number of steps from 1 to 1,000" in ended.err, ended
    assert NOW in rehearsing.read(CONFIG)


def test_the_number_may_be_missing_or_be_a_word_of_its_own(rehearsing: Project) -> None:
    for arguments, steps in ((("--rehearse", "--dry-run"), "60"), (("--rehearse", "12", "--dry-run"), "12")):
        rehearsing.run(*ROLLBACK, *arguments)
        asked = rehearsing.read("asked.txt").decode().splitlines()
        assert asked[asked.index("--steps") + 1] == steps
    assert rehearsing.run(*ROLLBACK, "--rehearse", "-5").code == 2
    by_name = rehearsing.run(
        "rollback", "--feature", "use_ema", "--no-restart", "--dry-run", "--rehearse", "huber_loss"
    )
    assert by_name.code == 0 and "improvements.huber_loss: true → false" in by_name.out, "a name is not a number"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--git", "HEAD", "--rehearse"), "--rehearse can't be used with --git: it changes code"),
        (("--full", "--rehearse"), "--rehearse can't be used with --full"),
        (("--staged", "--rehearse"), "--rehearse can't be used with --staged"),
        (("--bisect", "--rehearse"), "--rehearse can't be used with --bisect"),
        (("--staged", "--with", "optimizer.lr=1e-4"), "--with can't be used with --staged"),
        (("--immediate", "--force", "why"), "--force needs --rehearse"),
        (("--immediate", "--rehearse", "--force", " "), "--force needs a reason"),
    ],
)
def test_what_does_not_go_together(project: Project, arguments: tuple[str, ...], text: str) -> None:
    ended = project.run("rollback", *arguments, "--yes")
    assert ended.code == 2 and text in ended.err, ended


def test_restore_and_config_set_are_rehearsed_too(rehearsing: Project) -> None:
    assert rehearsing.run("backup", "create").code == 0
    set_one = ("config", "set", "optimizer.lr=5e-4", "--no-restart", "--rehearse", "--dry-run")
    assert "rehearsed in a scratch copy" in rehearsing.run(*set_one).out
    answers(rehearsing, side(steps=0, code=14, reason="the checkpoint is torn"))
    refused(rehearsing.run(*set_one), "the checkpoint can't be loaded")
    snapshot = rehearsing.run("backup", "list", "--json").json["data"]["snapshots"][0]["id"]
    rehearsing.write(CONFIG, rehearsing.read(CONFIG) + b"# edited\n")
    refused(
        rehearsing.run("restore", snapshot, "--no-restart", "--rehearse", "--yes"), "the checkpoint can't be loaded"
    )
    ended = rehearsing.run("restore", snapshot, "--to", "new", "--rehearse")
    assert ended.code == 2 and "--to does not change the project" in ended.err


def test_a_saved_plan_is_rehearsed_again(rehearsing: Project) -> None:
    answers(rehearsing, side(steps=19))
    refused(rehearsing.run("plan", "save", "kept.json", *ROLLBACK, "--rehearse", "20"), "19 of 20")
    assert not (rehearsing.root / "kept.json").exists()
    answers(rehearsing, side(steps=20))
    assert rehearsing.run("plan", "save", "kept.json", *ROLLBACK, "--rehearse", "20").code == 0
    answers(rehearsing, side(loss=2.5, steps=20))
    applied = rehearsing.run("plan", "apply", "kept.json", "--yes")
    assert applied.code == 0 and "loss 2.70 → 2.50" in applied.out, applied


def test_settings_with_a_rollback(project: Project) -> None:
    before = project.configs()
    added = ("--with", "optimizer.lr=5e-4", "--with", "data.skip=2024-01-01..2024-01-15")
    done = project.run(*ROLLBACK, *added, "--yes", "--json")
    assert done.code == 0, done
    config, training = project.configs()
    assert config == before[0].replace(NOW, b"freq_dropout_p: 0.0").replace(
        b"skip: null", b'skip: "2024-01-01..2024-01-15"'
    ), "every other byte stays"
    assert training == before[1].replace(b"lr: 1.0e-3", b"lr: 0.0005")
    entry = project.run("history", "--json").json["data"]["operations"][-1]
    assert entry["about"]["with"] == {"optimizer.lr": 0.0005, "data.skip": "2024-01-01..2024-01-15"}
    assert project.run("undo", "--yes", "--no-restart").code == 0 and project.configs() == before


def test_settings_with_a_restored_snapshot(project: Project) -> None:
    """The snapshot's text is edited, not the present one; the rest is as in the snapshot."""
    assert project.run("backup", "create", "--label", "good").code == 0
    good = project.configs()
    project.replace(TRAINING, "lr: 1.0e-3", "lr: 3.0e-3")
    project.replace(TRAINING, "weight_decay: 1.0e-2", "weight_decay: 0.5")
    dry = project.run("rollback", "--to", "good", "--no-restart", "--dry-run", "--with", "optimizer.lr=5e-4")
    assert "with 1 setting changed" in dry.out and "optimizer.lr: 0.001 → 0.0005" in dry.out, dry
    assert "by --with, in place of 0.001, which the rollback sets" in " ".join(dry.out.split())
    done = project.run(
        "rollback", "--to", "good", "--no-restart", "--yes", "--with", "optimizer.lr=5e-4", "--with", "use_ema=false"
    )
    assert done.code == 0, done
    assert project.configs() == (
        good[0].replace(b"use_ema: true", b"use_ema: false"),
        good[1].replace(b"lr: 1.0e-3", b"lr: 0.0005"),
    )


@pytest.mark.parametrize(
    ("added", "code", "text"),
    [
        ("nope=1", 3, "no setting 'nope'"),
        ("optimizer.lr", 2, "expected KEY VALUE, or KEY=VALUE"),
        ("optimizer.lr=fast", 3, "is not a number"),
        ("optimizer.lr=010", 2, "ambiguous"),
        ("optimizer=3", 3, "holds 3 settings"),
        ("optimizer.lr=7.0", 3, "the trainer can't train with these settings: optimizer.lr: 7.0 is out of its range"),
        ("data.skip=2024-13-01", 3, "no window of dates"),
    ],
)
def test_wrong_settings_are_refused_as_config_set_does(asking: Project, added: str, code: int, text: str) -> None:
    before = asking.tree()
    ended = asking.run(*ROLLBACK, "--yes", "--with", added)
    assert ended.code == code and text in ended.err, ended
    assert {name for name in asking.tree() if asking.tree()[name] != before.get(name)} <= {".atftctl/lock"}
