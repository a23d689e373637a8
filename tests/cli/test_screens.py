"""What a stranger reads: the next step is there, and no sentence is untrue. Found by a stranger's review."""

from __future__ import annotations

from tests.support.gates import quick_gates
from tests.support.projects import CONFIG, RUNBOOK, Project


def test_wrong_options_end_in_the_envelope_too(project: Project) -> None:
    for command in (("rollback", "--bogus"), ("reenable",), ("history", "--limit", "0"), ("verify", "--lang", "xx")):
        done = project.run(*command, "--json")
        assert done.code == 2 and done.json["outcome"] == "usage" and done.json["error"]["message"], (command, done)


def test_a_rollback_that_changes_no_file_does_not_say_that_it_did(project: Project) -> None:
    for name in ("use_ema", "online_normalization"):
        project.replace(CONFIG, f"{name}: true", f"{name}: false")  # the symptom's settings, set by hand
    project.behave("oom")
    project.run("trainer", "start")
    first = project.run("rollback", "--symptom", "oom", "--yes")
    assert first.code == 1 and "changed no file" in first.out and "the trainer is only started again" in first.out
    status = project.run("status").out
    assert "are in place already" in status and "next: atftctl rollback --symptom oom" not in status


def test_status_names_the_remedy_while_it_is_one(project: Project) -> None:
    project.behave("oom")
    project.run("trainer", "start")
    assert "next: atftctl rollback --symptom oom" in project.run("status").out


def test_a_trainer_that_stays_down_is_said(project: Project) -> None:
    done = project.run("rollback", "--symptom", "divergence", "--yes")
    assert done.code == 0 and "this command does not start the trainer" in done.out


def test_latest_means_the_same_everywhere(project: Project) -> None:
    asked = project.run("backup", "--json").json["data"]["id"]
    project.run("rollback", "--symptom", "oom", "--yes")
    assert project.run("status", "--json").json["data"]["latest_snapshot"] == asked
    assert asked in project.run("restore", "latest", "--dry-run").out


def test_a_label_may_be_shortened(project: Project) -> None:
    project.run("backup", "--label", "before-upgrade")
    project.run("rollback", "--symptom", "oom", "--yes")
    assert "before-upgrade" in project.run("restore", "before", "--dry-run").out


def test_a_baseline_with_improvements_on_is_refused(project: Project) -> None:
    done = project.run("baseline", "record")
    assert done.code == 3 and "improvements are on" in done.err and "--force" in done.err


def test_an_undo_of_an_undo_says_what_it_is(project: Project) -> None:
    project.run("rollback", "--symptom", "oom", "--yes")
    assert "Out of memory" in project.run("undo", "--yes").out
    assert "this undoes an undo" in project.run("undo", "--dry-run").out


def test_lint_says_that_all_is_well_and_what_is_not_quite(project: Project) -> None:
    (project.root / RUNBOOK).chmod(0o664)
    done = project.run("runbook", "lint")
    assert "no problem found" in done.out and "writable by its group" in done.out
    assert "writable by its group" in project.run("runbook", "show").out


def test_the_next_phase_is_named(project: Project) -> None:
    quick_gates(project)
    project.start_trainer()
    first = project.run("reenable", "--phase", "1", "--yes")
    assert first.code == 0 and "atftctl reenable --next" in first.out
    assert "atftctl reenable --phase 2" in project.run("reenable", "--phase", "1", "--yes").err


def test_both_and_none(project: Project) -> None:
    assert "can't be used together" in project.run("rollback", "--symptom", "oom", "--immediate").err
    assert "choose another route: rollback --symptom NAME, --immediate" in project.run("rollback").err


def test_a_broken_config_is_not_promised_a_good_copy(project: Project) -> None:
    project.write(CONFIG, "a: [")
    refused = project.run("rollback", "--immediate", "--yes").err
    assert "with an editor" in refused and "atftctl restore" not in refused
