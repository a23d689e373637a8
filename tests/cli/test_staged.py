"""`rollback --staged` and `resume`, with a stand-in trainer."""

from __future__ import annotations

from tests.support.projects import CONFIG, RUNBOOK, Project, wait_for


def quick_stages(project: Project) -> None:
    project.replace(RUNBOOK, "window_steps: 300", "window_steps: 60")
    project.replace(RUNBOOK, "window_s: 300", "window_s: 10")


def test_staged_stops_at_the_first_healthy_stage(project: Project) -> None:
    quick_stages(project)
    project.behave("bad-if:improvements.freq_dropout_p=0.1")
    project.start_trainer()
    wait_for(lambda: "died" in project.run("status").out)
    shown = project.run("rollback", "--staged", "--dry-run")
    assert shown.out.count("(table)") == shown.out.count("(block)") == 1 and "Training diverges" in shown.out, (
        "the symptom is the trainer's own word"
    )
    tree = project.tree()
    assert project.run("rollback", "--staged", "--dry-run").code == 0 and project.tree() == tree
    done = project.run("rollback", "--staged", "--yes", "--json")
    assert done.code == 0, done
    data = done.json["data"]
    assert data["stage"] == "block" and data["verdict"] == "pass" and len(data["operations"]) == 2
    text = project.read(CONFIG).decode()
    assert "gat_temperature: 0.8" in text and "online_normalization: true" in text, "innocent improvements stay on"
    assert not (project.root / ".atftctl/staged.json").exists()
    for operation in reversed(data["operations"]):
        assert project.run("undo", operation, "--yes", "--no-restart").code == 0
    assert "use_ema: true" in project.read(CONFIG).decode()


def test_stages_that_change_nothing_are_not_counted(project: Project) -> None:
    project.start_trainer()
    shown = project.run("rollback", "--staged", "--symptom", "slow-convergence", "--dry-run").out
    assert "stage 1 (table)" in shown and "stage 2 (immediate)" in shown and "block" not in shown, shown


def test_no_stage_helps(project: Project) -> None:
    quick_stages(project)
    project.behave("bad-if:data.memory_map=true")
    project.start_trainer()
    wait_for(lambda: "died" in project.run("status").out)
    done = project.run("rollback", "--staged", "--symptom", "divergence", "--yes")
    assert done.code == 1 and "no stage made the trainer healthy" in done.out and "contact" in done.out, done


def test_staged_is_gone_on_with_after_a_kill(project: Project) -> None:
    quick_stages(project)
    project.replace(RUNBOOK, "window_steps: 60", "window_steps: 400")
    project.behave("bad-if:improvements.freq_dropout_p=0.1")
    project.start_trainer()
    wait_for(lambda: "died" in project.run("status").out)
    child = project.start("rollback", "--staged", "--yes")
    wait_for(lambda: (project.root / ".atftctl/staged.json").exists() and b'"at": 1' in state(project))
    child.kill()
    child.wait()
    assert "atftctl resume" in project.run("status").out
    refused = project.run("rollback", "--staged", "--yes")
    assert refused.code == 3 and "stage 2 of 3" in refused.err
    assert project.run("resume", "--dry-run").code == 0
    assert "was not interrupted" in project.run("resume", "2024").err
    first = project.run("history", "--json").json["data"]["operations"][-1]["operation"]
    done = project.run("resume", first)
    assert done.code == 0 and "healthy after stage 2 of 3" in done.out, done
    assert project.run("resume").code == 3, "nothing was left in the middle"


def state(project: Project) -> bytes:
    try:
        return project.read(".atftctl/staged.json")
    except FileNotFoundError:
        return b""


def test_too_little_seen_is_inconclusive_and_can_be_dropped(project: Project) -> None:
    quick_stages(project)
    project.replace(RUNBOOK, "window_s: 10", "window_s: 1")
    project.replace(RUNBOOK, "window_steps: 60", "window_steps: 10000")
    project.start_trainer()
    done = project.run("rollback", "--staged", "--symptom", "oom", "--yes")
    assert done.code == 6 and "of 10000 steps so far" in done.out, done
    assert project.run("resume", "--drop").code == 0
    assert project.run("rollback", "--staged", "--symptom", "oom", "--dry-run").code == 0


def test_staged_needs_somebody_to_watch(project: Project) -> None:
    refused = project.run("rollback", "--staged", "--symptom", "oom", "--yes")
    assert refused.code == 3 and "no trainer is running" in refused.err
    project.start_trainer()
    project.run("trainer", "stop")
    assert project.run("rollback", "--staged", "--yes").code == 2, "no symptom was named"


def test_a_deliberate_stop_or_another_operator_is_no_failed_stage(project: Project) -> None:
    quick_stages(project)
    project.replace(RUNBOOK, "window_steps: 60", "window_steps: 10000")
    for command in (("trainer", "stop"), ("trainer", "restart")):
        project.start_trainer()
        child = project.start("rollback", "--staged", "--symptom", "oom", "--yes")
        wait_for(lambda: b'"watching"' in state(project))
        at_it = project.run("resume")
        assert at_it.code == 3 and "is running it" in at_it.err
        assert project.run("guard", "--", "true").code == 125
        assert project.run(*command).code == 0
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 6 and ("on purpose" in out or "another trainer" in out), out
        assert "gat_temperature: 0.8" in project.read(CONFIG).decode(), "no further stage"
        assert project.run("resume", "--drop").code == 0
        project.run("undo", "--yes", "--no-restart")
        project.run("trainer", "stop")


def test_staged_or_undo_takes_every_stage_back(project: Project) -> None:
    quick_stages(project)
    project.behave("bad-if:data.memory_map=true")
    project.start_trainer()
    wait_for(lambda: "died" in project.run("status").out)
    before = project.configs()
    done = project.run("rollback", "--staged", "--symptom", "oom", "--or-undo", "--yes")
    assert done.code == 4 and project.configs() == before, done
