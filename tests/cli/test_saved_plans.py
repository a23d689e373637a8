"""Saved plans and dry runs: what is applied is what was shown."""

from __future__ import annotations

import pytest

from tests.support.projects import CONFIG, RUNBOOK, Project, wait_for


def test_a_saved_plan_is_done_exactly_or_refused(project: Project) -> None:
    tree = project.tree()
    saved = project.run("plan", "save", "../plan", "rollback", "--symptom", "oom")
    assert saved.code == 0 and "use_ema: true → false" in saved.out and project.tree() == tree
    assert project.run("plan", "save", "../plan", "rollback", "--symptom", "oom").code == 3, "never overwritten"
    assert project.run("plan", "apply", "../plan").code == 3, "nobody to ask"
    done = project.run("plan", "apply", "../plan", "--yes")
    assert done.code == 0 and b"use_ema: false" in project.read(CONFIG), done
    project.run("undo", "--yes")
    project.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    moved = project.run("plan", "apply", "../plan", "--yes")
    assert moved.code == 3 and "the plan is out of date" in moved.err and b"use_ema: true" in project.read(CONFIG)
    text = (project.root / "../plan").read_text()
    (project.root / "../plan").write_text(text.replace("oom", "divergence"))
    edited = project.run("plan", "apply", "../plan", "--yes")
    assert edited.code == 3 and "not a plan saved by atftctl" in edited.err
    assert project.run("plan", "apply", "../none", "--yes").code == 3
    assert project.run("plan", "save", "../other", "rollback", "--symptom", "nonsense").code == 2
    assert not (project.root / "../other").exists()


def test_only_changes_have_plans_and_only_here(project: Project) -> None:
    ran = project.run("plan", "save", "../p", "guard", "--", "touch", "executed")
    assert ran.code == 2 and "has no plan" in ran.err and not (project.root / "executed").exists()
    assert project.run("plan", "save", "../p", "rollback", "--symptom", "oom", "--yes").code == 2
    project.replace(RUNBOOK, "window_steps: 300", "window_steps: 60")
    project.behave("bad-if:improvements.use_ema=true")
    project.start_trainer()
    wait_for(lambda: "died" in project.run("status").out)
    assert project.run("plan", "save", "../staged", "rollback", "--staged").code == 0
    project.run("config", "set", "use_ema=false", "huber_loss=false", "--yes", "--no-restart")
    assert "out of date" in project.run("plan", "apply", "../staged", "--yes").err
    assert project.run("plan", "save", "../p", "rollback", "--immediate").code == 0
    project.replace(RUNBOOK, "grace_s: 5", "grace_s: 6")
    assert "changed since: runbook" in project.run("plan", "apply", "../p", "--yes").err


@pytest.mark.parametrize(
    ("command", "headline"),
    [
        ("restore latest --to ../out", "exported 4 files"),
        ("backup create --label kept", "snapshot 2"),
        ("backup pin latest", "is pinned"),
        ("backup rm latest", "remove 1 snapshot"),
        ("trainer start", "the trainer is running"),
        ("trainer stop", "no trainer is running"),
    ],
)
def test_every_change_has_a_plan_that_can_be_kept(project: Project, command: str, headline: str) -> None:
    assert project.run("backup").code == 0
    before = project.tree()
    saved = project.run("plan", "save", "../p", *command.split())
    assert saved.code == 0 and "dry run" in saved.out and project.tree() == before, saved
    applied = project.run("plan", "apply", "../p", "--yes")
    assert applied.code == 0 and headline in applied.out, applied


def test_a_dry_run_of_a_change_says_what_the_change_does(project: Project) -> None:
    project.run("backup")
    for command in ("backup create", "trainer start", "trainer restart", "backup pin latest", "backup prune", "resume"):
        shown = project.run(*command.split(), "--dry-run", "--json")
        assert shown.code == 0, shown
        if plan := shown.json["data"].get("plan"):
            assert all(step["text"] for step in plan["steps"]) and command.startswith(plan["command"]), plan


def test_a_plan_that_was_not_saved_is_one_refusal(project: Project) -> None:
    """Not first the result of the dry run, and then an error: a script reads one JSON object."""
    nothing = project.run("plan", "save", "--json", "../none", "backup", "prune")
    assert nothing.code == 3 and "no plan that could be saved" in nothing.json["error"]["message"], nothing
    assert not (project.root / "../none").exists()


def test_a_dry_run_of_a_backup_lists_its_files(project: Project) -> None:
    data = project.run("backup", "--dry-run", "--json").json["data"]
    assert CONFIG in data["files"] and data["bytes_to_copy"] > 0 and data["left_out"] == {}
