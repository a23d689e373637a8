"""The ladder of checkpoints as a user climbs it: list, grade, and rollbacks that choose a checkpoint."""

from __future__ import annotations

import json
import os
import signal
import time
from hashlib import sha256

import pytest

from atftctl import protocol
from tests.cli.test_process_rules import by_hand
from tests.support import rungs
from tests.support.projects import CONFIG, RUNBOOK, Ended, Project, processes_of, wait_for
from tests.support.rungs import LAST, climb, damage, graded, rung, with_floor

DIVERGED = ("rollback", "--symptom", "divergence", "--yes")


def taken(done: Ended) -> str:
    """The checkpoint that a rollback resumed from."""
    assert done.code == 0, done
    [note] = [note for note in done.json["data"]["plan"]["notes"] if note.startswith("the trainer resumes from")]
    return str(note.split()[4])


def test_the_list_in_80_columns_and_as_json(project: Project) -> None:
    climb(project, "good", "good", "good")
    os.symlink("/etc/passwd", project.root / "models/history/step-00000900-g1.pth")
    os.mkfifo(project.root / "models/history/step-00000901-g1.pth")
    damage(project.root / rung(200))
    shown = project.run("checkpoint", "list")
    assert shown.code == 0 and "DAMAGED" in shown.out and "it is a symlink" in shown.out, shown
    data = project.run("checkpoint", "list", "--json").json["data"]
    lines = {line["path"]: line for line in data["checkpoints"]}
    assert [line["step"] for line in data["checkpoints"]][:3] == [300, 200, 100]
    assert [line["back"] for line in data["checkpoints"]][:3] == [0, 1, 2]
    assert lines[LAST]["grade"] == "whole" and lines[rung(200)]["grade"] == "" and lines[rung(200)]["damage"]
    assert len(data["left_out"]) == 2
    one = project.run("checkpoint", "show", "300", "--json").json["data"]["checkpoint"]
    assert (one["path"], one["generation"]) == (LAST, 1)
    second = project.run("checkpoint", "show", "2", "--json").json["data"]["checkpoint"]
    assert (second["path"], second["back"]) == (rung(100), 2), "by the first column of the list"
    assert project.run("checkpoint", "show", "step-0000").code == 2, "the beginning of several"
    assert "did you mean" in project.run("checkpoint", "show", "lost.pth").err


def test_without_any_checkpoint(project: Project) -> None:
    rungs.use_grading(project)
    (project.root / LAST).unlink()
    (project.root / "models/best_model.pth").unlink()
    assert "no checkpoint yet" in project.run("checkpoint", "list").out
    assert project.run("checkpoint", "grade").code == 6
    assert project.run("rollback", "--back", "1", "--yes").code == 3


def test_back_and_undo(project: Project) -> None:
    climb(project, "good", "good", "good")
    last = project.read(LAST)
    project.start_trainer()
    shown = project.run("rollback", "--back", "2", "--dry-run")
    assert "from step 300 to step 100" in shown.out and "about 6 min of training" in shown.out, shown
    done = project.run("rollback", "--back", "2", "--yes", "--json")
    assert taken(done) == rung(100)
    refused = project.run("undo", "--yes", "--no-restart")
    assert refused.code == 3 and "would overwrite models/last.pth" in refused.err and "trainer stop" in refused.err
    assert project.run("trainer", "stop").code == 0
    assert project.run("undo", "--yes").code == 0
    assert project.read(LAST).startswith(b"weights of step") and last, "what the trainer saved when it was stopped"
    assert project.read(rung(300)) == last, "the history itself is no part of it"


def test_a_note_on_the_cost_reads_no_checkpoint(project: Project) -> None:
    """Whatever the size of the models is, the emergency path does not wait for it."""
    climb(project, "good", "good")
    project.start_trainer()
    os.kill(project.record()["pid"], signal.SIGKILL)
    for name in (LAST, "models/best_model.pth", "models/previous.pth"):
        (project.root / name).unlink(missing_ok=True)
        with (project.root / name).open("wb") as file:
            file.truncate(1 << 40)  # a terabyte of holes: hashing it would take an hour
    for symptom in ("degradation", "slow-convergence"):
        done = project.run("rollback", "--symptom", symptom, "--dry-run", limit_s=120)
        assert done.code == 0 and "the way back gives up" in " ".join(done.out.split()), done


@pytest.mark.parametrize("route", [(), ("--immediate",), ("--feature", "use_ema")])
def test_back_with_another_setting(project: Project, route: tuple[str, ...]) -> None:
    climb(project, "good", "good", "good")
    configs, last = project.configs(), project.read(LAST)
    done = project.run("rollback", *route, "--back", "1", "--with", "gat_temperature=0.9", "--yes", "--json")
    assert taken(done) == rung(200)
    assert b"gat_temperature: 0.9" in project.read(CONFIG) and project.read(LAST) == project.read(rung(200))
    assert project.run("trainer", "stop").code == 0
    assert project.run("undo", "--yes", "--no-restart").code == 0
    assert (project.configs(), project.read(LAST)) == (configs, last)


@pytest.mark.parametrize(
    ("back", "code", "words"),
    [
        ("99", 3, "--back 2"),
        ("0", 2, "1 or more"),
        ("-3", 2, "1 or more"),
        ("x", 2, "not a valid int"),
        ("3", 3, "--back 2"),
    ],
)
def test_a_back_that_can_not_be(project: Project, back: str, code: int, words: str) -> None:
    climb(project, "good", "good", "good")
    before = project.tree()
    done = project.run("rollback", f"--back={back}", "--yes")
    assert done.code == code and words in done.err, done
    assert {name for name in project.tree() if name not in before} <= {".atftctl/lock"}
    assert project.run("rollback", "--back", "1", "--to", "last-good").code == 2
    assert project.run("rollback", "--back", "1", "--immediate", "--live").code == 2


def test_a_ladder_of_one_rung(project: Project) -> None:
    climb(project, "good")
    done = project.run("rollback", "--back", "1", "--yes")
    assert done.code == 3 and "checkpoint list" in done.err, done


def test_a_damaged_rung_is_passed_over_and_said_so(project: Project) -> None:
    climb(project, "good", "good", "good", "good")
    damage(project.root / rung(300))
    done = project.run("rollback", "--back", "1", "--yes", "--json")
    assert taken(done) == rung(200)
    assert any(f"{rung(300)} is not taken" in note for note in done.json["data"]["plan"]["notes"])
    assert project.read(LAST) == project.read(rung(200))


@pytest.mark.parametrize("kind", ["a symlink", "a pipe", "damaged"])
def test_what_lies_in_the_place_of_the_last_one(project: Project, kind: str) -> None:
    climb(project, "good", "good")
    (project.root / LAST).unlink()
    if kind == "a symlink":
        (project.root / LAST).symlink_to(project.root / rung(200))
    elif kind == "a pipe":
        os.mkfifo(project.root / LAST)
    else:
        project.write(LAST, "no zip file at all")
    done = project.run("rollback", "--back", "1", "--yes", "--json")
    if kind == "damaged":
        assert taken(done) == rung(200) and project.read(LAST) == project.read(rung(200))
    else:
        assert done.code == 3 and "can't be replaced" in done.out and f"mv {LAST} {LAST}.old" in done.out, done


def test_checkpoints_of_another_format_count_as_whole(project: Project) -> None:
    rungs.use_grading(project)
    project.replace(RUNBOOK, "  last: models/last.pth", "  last: models/last.msgpack")
    for number, name in enumerate(("history/checkpoint-10.msgpack", "last.msgpack")):
        project.write(f"models/{name}", f"tensors {number}")
        os.utime(project.root / "models" / name, (time.time() + number,) * 2)
    done = project.run("rollback", "--back", "1", "--yes", "--json")
    assert taken(done) == "models/history/checkpoint-10.msgpack"
    assert any("nothing shows that it is whole" in note for note in done.json["data"]["plan"]["notes"])


def test_the_newest_of_the_grade_is_taken_and_what_was_measured_is_kept(project: Project) -> None:
    climb(project, "good", "good", "refused", "nan", "late")
    with_floor(project, "steps")
    before = project.tree()
    shown = project.run(*DIVERGED[:-1], "--dry-run")
    assert "grade steps, measured" in shown.out and "not finite" in shown.out, shown
    after = project.tree()
    assert after.pop("graded") and after == before, "a dry run keeps nothing"
    done = project.run(*DIVERGED, "--json")
    assert taken(done) == rung(200), "neither more nor fewer rungs than needed"
    assert project.read(LAST) == project.read(rung(200))
    assert project.run("undo", "--yes").code == 0
    asked = len(graded(project))
    assert taken(project.run(*DIVERGED, "--json")) == rung(200)
    assert len(graded(project)) == asked, "nothing is measured twice"
    line = project.run("checkpoint", "show", rung(200), "--json").json["data"]["checkpoint"]
    assert line["grade"] == "steps" and line["current"]


def test_a_good_last_one_stays_where_the_trainer_has_died(project: Project) -> None:
    climb(project, "good", "good")
    with_floor(project, "steps")
    done = project.run(*DIVERGED, "--json")
    assert taken(done) == LAST
    assert not [file for file in done.json["data"]["plan"]["steps"] if "restore" in str(file)], "only settings change"


def test_what_a_running_trainer_saves_at_its_stop_is_not_resumed_from(project: Project) -> None:
    climb(project, "good", "good")
    with_floor(project, "steps")
    project.start_trainer()
    assert taken(project.run(*DIVERGED, "--json")) == LAST
    assert project.run("trainer", "stop").code == 0
    events = project.read("logs/events.jsonl").decode()
    assert "started" in events
    snapshot = project.run("history", "--json").json["data"]["operations"]
    assert snapshot


def test_a_trainer_that_was_started_by_hand_may_save_too(project: Project) -> None:
    climb(project, "good", "good")
    with_floor(project, "steps")
    last = project.read(LAST)
    child = by_hand(project)
    try:
        refused = project.run("rollback", "--back", "1", "--no-restart", "--yes")
        assert refused.code == 3 and f"atftctl trainer stop --adopt {child.pid}" in refused.err, refused
        assert project.read(LAST) == last
        done = project.run(*DIVERGED, "--adopt", str(child.pid), "--json")
        assert taken(done) == LAST and project.read(LAST) == last, "not what it saved when it was stopped"
    finally:
        child.kill()
        child.wait()


def test_a_trainer_on_another_machine_may_save_too(project: Project) -> None:
    climb(project, "good", "good")
    project.start_trainer()
    record = project.record()
    project.write(".atftctl/process.json", json.dumps({**record, "host": "gpu7", "boot": "other"}))
    refused = project.run("rollback", "--back", "1", "--no-restart", "--yes")
    project.write(".atftctl/process.json", json.dumps(record))
    assert refused.code == 3 and "process.json" in refused.err, refused


def test_none_is_good(project: Project) -> None:
    climb(project, "late", "nan", "refused")
    with_floor(project, "steps")
    before = project.tree()
    done = project.run(*DIVERGED)
    assert done.code == 3 and "no checkpoint is of grade steps" in done.err and "last-good" in done.err, done
    assert {name for name in project.tree() if name not in before} <= {
        ".atftctl/lock",
        "graded",
        ".atftctl/checkpoints.json",
    }


@pytest.mark.parametrize("mood", ["broken", "crash", "hang"])
def test_a_probe_that_measures_nothing(project: Project, mood: str) -> None:
    """The newest whole one is taken, and the plan says that nothing more is known of it."""
    climb(project, "good", "good", "good")
    with_floor(project, "steps")
    project.replace(RUNBOOK, "  limit_s: 120", "  limit_s: 2")
    damage(project.root / LAST)
    (project.root / rung(300)).unlink()
    project.write("probe", mood)
    done = project.run(*DIVERGED, "--json")
    assert taken(done) == rung(200)
    notes = " ".join(done.json["data"]["plan"]["notes"])
    assert "could not be graded" in notes and "only known to be whole" in notes, notes


def test_when_the_time_is_over_after_bad_ones_nothing_unmeasured_is_taken(project: Project) -> None:
    """What was measured is kept, so that the next attempt gets further."""
    climb(project, "good", "nan", "nan")
    with_floor(project, "steps")
    project.write("probe", "once")
    for _ in range(2):  # also where what was bad is only known from the first attempt
        stopped = project.run(*DIVERGED)
        assert stopped.code == 3 and "could not be measured" in stopped.err and "run this command again" in stopped.err
    (project.root / "probe").unlink()
    done = project.run(*DIVERGED, "--json")
    assert taken(done) == rung(100)
    assert graded(project).count("last.pth") == 1


def test_a_probe_that_runs_out_of_memory_condemns_nothing(project: Project) -> None:
    climb(project, "good", "good")
    project.write("probe", "memory")
    done = project.run("checkpoint", "grade", "--json")
    assert done.code == 6 and "memory ran out" in str(done.json["data"]["unknown"]), done
    assert not (project.root / ".atftctl/checkpoints.json").exists()


def test_with_a_broken_probe_an_older_one_that_was_measured_is_taken(project: Project) -> None:
    climb(project, "good", "good", "good")
    with_floor(project, "steps")
    assert project.run("checkpoint", "grade", "200").code == 0
    project.write("probe", "broken")
    done = project.run(*DIVERGED, "--json")
    assert taken(done) == rung(200)
    assert any("with other settings" in note for note in done.json["data"]["plan"]["notes"])


def test_back_and_back_again_without_any_report(project: Project) -> None:
    """A trainer of another kind reports nothing: the last checkpoint is found in the history by its content."""
    rungs.use_grading(project)
    paths = {step: f"models/history/checkpoint-{step}.pt" for step in (100, 200, 300, 400, 500)}
    for step, path in paths.items():
        project.write(path, rungs.checkpoint("good", step))
        os.utime(project.root / path, (time.time() - 1000 + step,) * 2)
    project.write(LAST, project.read(paths[500]))
    listed = project.run("checkpoint", "list", "--json").json["data"]["checkpoints"]
    assert [line["step"] for line in listed][:5] == [500, 400, 300, 200, 100]
    assert taken(project.run("rollback", "--back", "3", "--yes", "--json")) == paths[200]
    assert taken(project.run("rollback", "--back", "1", "--yes", "--json")) == paths[100]


@pytest.mark.parametrize("mood", ["gone", "swapped"])
def test_rotated_away_while_it_is_graded(project: Project, mood: str) -> None:
    climb(project, "good", "good")
    project.write("probe", mood)
    done = project.run("checkpoint", "grade", "100", "--json")
    assert done.code == 6 and done.json["data"]["unknown"], done
    assert not (project.root / ".atftctl/checkpoints.json").exists()


def test_removed_between_the_plan_and_the_change(project: Project) -> None:
    climb(project, "good", "good")
    assert project.run("plan", "save", "../plan", "rollback", "--back", "1").code == 0
    last = project.read(LAST)
    (project.root / rung(100)).write_bytes(rungs.checkpoint("good", 7))
    done = project.run("plan", "apply", "../plan", "--yes")
    assert done.code == 3, done
    assert project.read(LAST) == last


def test_the_branch_that_was_given_up_is_no_rung(project: Project) -> None:
    climb(project, "good", "good", "good", "good")
    done = project.run("rollback", "--back", "2", "--yes", "--json")
    assert taken(done) == rung(200)
    rungs.event(project, "started", 200, 2, 1e9, digest="d", resumed_from=LAST, resumed_generation=1)
    climb_again = rung(250, 2)
    project.write(climb_again, rungs.checkpoint("good", 250))
    (project.root / LAST).unlink()
    (project.root / LAST).hardlink_to(project.root / climb_again)
    digest = sha256(project.read(LAST)).hexdigest()
    rungs.event(project, "checkpoint", 250, 2, 1e9, path=LAST, sha256=digest)
    lines = project.run("checkpoint", "list", "--json").json["data"]["checkpoints"]
    assert [(line["step"], line["generation"]) for line in lines if line["back"] is not None] == [
        (250, 2),
        (200, 1),
        (100, 1),
    ]


def test_a_folder_is_a_checkpoint(project: Project) -> None:
    rungs.use_grading(project)
    (project.root / LAST).unlink()
    project.replace(RUNBOOK, "  last: models/last.pth", "  last: models/last")
    for place, step in (("models/last", 20), ("models/history/checkpoint-10", 10)):
        project.write(f"{place}/weights.pth", rungs.checkpoint("good", step))
        project.write(f"{place}/state.json", f'{{"step": {step}}}')
    project.write("models/last/extra.json", "{}")
    project.start_trainer()
    refused = project.run("rollback", "--back", "1", "--yes")
    assert refused.code == 3 and "is a folder" in refused.err and "atftctl trainer stop" in refused.err, refused
    assert project.run("trainer", "stop").code == 0
    assert project.run("checkpoint", "grade", "10").code == 0
    assert taken(project.run("rollback", "--back", "1", "--yes", "--json")) == "models/history/checkpoint-10"
    assert project.read("models/last/state.json") == b'{"step": 10}'
    assert not (project.root / "models/last/extra.json").exists()
    assert project.run("undo", "--yes").code == 0
    assert project.read("models/last/state.json") == b'{"step": 20}' and project.read("models/last/extra.json") == b"{}"


def test_a_last_checkpoint_that_snapshots_do_not_hold(project: Project) -> None:
    """The trainer has saved again: the undo, also of a change that waits for a confirmation, is not refused for it."""
    climb(project, "good", "good")
    state = "state/last.pth"
    project.replace(RUNBOOK, "  last: models/last.pth", f"  last: {state}")
    project.write(state, project.read(LAST))
    before = project.read(state)
    done = project.run("rollback", "--back", "1", "--yes", "--json", "--confirm-within", "1h")
    assert taken(done) == rung(100) and project.read(state) == project.read(rung(100))
    project.write(state, "what the trainer has saved since")
    assert project.run("undo", "--yes", "--no-restart").code == 0
    assert project.read(state) == before


def test_grades_on_demand(project: Project) -> None:
    climb(project, "good", "late", "good")
    done = project.run("checkpoint", "grade", "--json")
    assert done.code == 1, done
    assert [line["grade"] for line in done.json["data"]["checkpoints"]] == ["steps", "loads", "steps"]
    assert "gradient norm" in done.json["data"]["checkpoints"][1]["reason"]
    assert project.run("checkpoint", "grade", "last.pth", "--to", "loads").code == 0
    assert "did you mean" in project.run("checkpoint", "grade", "--to", "stepps").err
    shown = project.run("checkpoint", "list").out
    assert "steps" in shown and "not steps" in shown
    assert project.run("checkpoint", "grade", "200", "--to", "loads").code == 0
    assert "not steps" in project.run("checkpoint", "list").out, "less was measured, and nothing else was found"


def test_grades_beside_a_trainer_that_removes_old_checkpoints(project: Project) -> None:
    """They are held for as long as they wait for their turn, and nothing of that is left."""
    climb(project, "good", "late", "good")
    project.write("probe", "trainer")
    done = project.run("checkpoint", "grade", "--json")
    lines = done.json["data"]["checkpoints"]
    assert [(line["path"], line["grade"]) for line in lines] == [
        (LAST, "steps"),
        (rung(200), "loads"),
        (rung(100), "steps"),
    ]
    assert not list((project.root / ".atftctl").glob("held/*")) and done.code == 1, done


def test_snapshots_do_not_grow(project: Project) -> None:
    climb(project, "good", "good")
    project.replace(RUNBOOK, "  also: []", "  also: [models]")
    name = project.run("backup", "--json").json["data"]["id"]
    assert not (project.root / "backups" / name / "models/history").exists()


def test_a_runbook_with_a_wrong_grade(project: Project) -> None:
    project.replace(RUNBOOK, "    resume: scratch", "    resume_grade: steps\n    resume: scratch")
    shown = project.run("runbook", "lint")
    assert shown.code == 1 and "resume_grade" in shown.out + shown.err, shown
    project.replace(RUNBOOK, "resume_grade: steps", "resume_grade: stepps")
    assert "stepps" in (lint := project.run("runbook", "lint")).out + lint.err


def anomaly(project: Project, step: int) -> None:
    """The trainer that was started last has died of an anomaly after this step."""
    record = project.record()
    line = protocol.event_line(
        protocol.ANOMALY, t=time.time(), pid=record["pid"], run_id=record["run_id"], step=step,
        generation=record["generation"], quantity="loss", value="nan",
    )  # fmt: skip
    with (project.root / protocol.EVENTS).open("ab") as file:
        file.write(line)


def returns(project: Project, step: int) -> Ended:
    """Roll back; then the new trainer dies of the same fault."""
    done = project.run(*DIVERGED, "--json")
    if done.code == 0:
        os.kill(project.record()["pid"], signal.SIGKILL)
        wait_for(lambda: not processes_of(project.root))
        (project.root / LAST).unlink()
        (project.root / LAST).hardlink_to(project.root / rung(400))  # what the trainer had saved by then
        anomaly(project, step)
    return done


def test_the_same_fault_again_takes_an_earlier_checkpoint_and_then_stops(project: Project) -> None:
    climb(project, "good", "good", "good", "good")
    with_floor(project, "steps", "checkpoint")
    project.start_trainer()
    os.kill(project.record()["pid"], signal.SIGKILL)
    anomaly(project, 430)
    assert [taken(returns(project, 430)) for _ in range(3)] == [LAST, rung(300), rung(200)]
    other = project.run(*DIVERGED, "--with", "nosuch.key=1")
    assert other.code == 3 and "nosuch" in other.err and "no further" not in other.out + other.err, other
    assert taken(returns(project, 430)) == rung(100)
    stopped = returns(project, 430)
    assert stopped.code == 3 and "no further remedy is left" in stopped.out, stopped
    assert "Slack #ml-alerts" in stopped.out
    anomaly(project, 9000)
    assert taken(returns(project, 9000)) == LAST, "with progress, it is another fault"


def test_a_rung_that_no_trainer_started_from_was_not_tried(project: Project) -> None:
    """And a trainer that dies in its first step has not come further."""
    climb(project, "good", "good", "good", "good")
    with_floor(project, "steps", "checkpoint")
    project.start_trainer()
    os.kill(project.record()["pid"], signal.SIGKILL)
    anomaly(project, 430)
    waiting = [taken(project.run(*DIVERGED, "--no-restart", "--json"))]
    assert waiting == [LAST] and taken(returns(project, 430)) == LAST
    assert taken(returns(project, 0)) == rung(300)
    assert taken(returns(project, 430)) == rung(200)


def test_the_same_fault_again_takes_the_next_settings_and_then_stops(project: Project) -> None:
    climb(project, "good", "good", "good", "good")
    with_floor(project, "steps", "settings")
    project.start_trainer()
    os.kill(project.record()["pid"], signal.SIGKILL)
    anomaly(project, 430)
    first, second = returns(project, 430), returns(project, 430)
    assert taken(first) == taken(second) == LAST
    changes = [done.json["data"]["changes"] for done in (first, second)]
    assert "gat_temperature" not in str(changes[0]) and "gat_temperature" in str(changes[1]), "then all improvements"
    assert returns(project, 430).code == 3
    assert project.run("undo", "--yes").code == 0
    assert returns(project, 430).code == 0, "what was undone does not count as tried"
