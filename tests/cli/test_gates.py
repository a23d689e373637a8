"""`reenable`: each phase behind its gate, with a stand-in trainer."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from atftctl.host import locks
from tests.support.gates import off_and_running, quick_gates
from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Ended, Project, ask_trainer, wait_for
from tests.support.snapshots import layout_of
from tests.support.today import some

NEVER = 10_000  # steps that no test waits for, and the most that a gate may ask for


@pytest.fixture
def off(project: Project) -> Project:
    """Every improvement is off, the trainer runs, and gates are quick."""
    quick_gates(project)
    off_and_running(project)
    return project


def improvements(project: Project) -> dict[str, Any]:
    return dict(yaml.safe_load(project.read(CONFIG))["improvements"])


def standings(project: Project) -> dict[int, str]:
    done = project.run("reenable", "--status", "--json")
    assert done.code == 0, done
    return {phase["number"]: phase["standing"] for phase in done.json["data"]["phases"]}


def record(project: Project) -> str:
    try:
        return project.read(".atftctl/reenable.json").decode()
    except FileNotFoundError:
        return ""


def watched(project: Project) -> Callable[[], bool]:
    """Whether the window of a phase is open, and the process that watches it holds no lock: it wrote that under one."""
    lock = layout_of(project.root).lock
    return lambda: '"doing": "watching"' in record(project) and locks.holder(lock) is None


def history(project: Project) -> list[dict[str, Any]]:
    return list(project.run("history", "--json").json["data"]["operations"])


def next_phase(project: Project, *options: str) -> Ended:
    return project.run("reenable", "--next", "--yes", *options)


def test_three_phases_one_after_the_other(off: Project) -> None:
    assert set(standings(off).values()) == {"not begun"}
    for number in (1, 2, 3):
        tree = off.tree()
        assert off.run("reenable", "--next", "--dry-run").code == 0
        assert tree.keys() == off.tree().keys() and off.read(CONFIG) == tree[CONFIG]
        done = next_phase(off, "--json")
        assert done.code == 0, done
        data = done.json["data"]
        assert (data["phase"], data["standing"], data["verdict"]) == (number, "passed", "pass")
        assert data["operation"] and data["snapshot"] and data["changes"]
        assert [line["verdict"] for line in data["gate"]] == ["pass"] and "all finite" in data["gate"][0]["detail"]
    assert improvements(off)["freq_dropout_p"] == 0.05
    over = next_phase(off)
    assert over.code == 3 and "all phases of after-incident have passed" in over.err
    verdicts = [row["verdict"] for row in history(off) if row["command"] == "reenable" and row["outcome"] == "passed"]
    assert len(verdicts) == 3 and all("all finite" in verdict for verdict in verdicts)
    assert off.run("history", "--check").code == 0
    shown = off.run("show")
    assert "gate: steps:" in shown.out, shown


def test_the_gate_is_judged_by_steps_of_the_new_run(off: Project) -> None:
    quick_gates(off, steps=150)
    wait_for(lambda: off.read("logs/metrics.csv").count(b"\n") > 200)  # steps of the run before do not count
    started = off.read("logs/metrics.csv").count(b"\n")
    assert next_phase(off).code == 0
    assert off.read("logs/metrics.csv").count(b"\n") - started >= 150


def test_the_gate_stands_in_the_plan_and_in_the_runbook(off: Project) -> None:
    plan = off.run("reenable", "--phase", "1", "--dry-run").out
    assert "undo this phase where its gate fails:" in plan and "- 30 healthy steps within 20 s" in plan
    assert "- source: rollback guide" in plan
    shown = off.run("runbook", "show", "--json", "--lang", "ja").json["data"]["plans"]["after-incident"]
    assert "no_issues_detected" in shown[0]["source"] and "performance_improved" in shown[1]["source"]
    assert "ゲート" in off.read("runbooks/atft-gat-fan.ja.md").decode()


def test_a_phase_needs_the_one_before_to_have_passed(off: Project) -> None:
    early = off.run("reenable", "--phase", "2", "--yes")
    assert early.code == 3 and "which is not in place" in early.err and "atftctl reenable --phase 1" in early.err
    assert off.run("config", "set", "output_head_small_init=true", "--yes").code == 0
    by_hand = off.run("reenable", "--phase", "2", "--yes")
    assert by_hand.code == 3 and "needs phase 1 to have passed its gate" in by_hand.err, by_hand
    assert improvements(off)["use_ema"] is False
    forced = off.run("reenable", "--phase", "2", "--yes", "--force", "verified by hand", "--json")
    assert forced.code == 0, forced
    rows = [row for row in history(off) if (row.get("about") or {}).get("phase") == "2"]
    assert [row["about"]["forced"] for row in rows] == ["verified by hand"] * 2, "the change, and the verdict"
    assert "verified by hand" in off.run("show", rows[0]["operation"]).out
    assert "forced: verified by hand" in off.run("reenable", "--status").out


def test_a_phase_that_is_in_place_already_is_only_judged(off: Project) -> None:
    assert off.run("config", "set", "output_head_small_init=true", "--yes").code == 0
    pid = off.record()["pid"]
    done = off.run("reenable", "--phase", "1", "--yes", "--json")
    assert done.code == 0 and done.json["data"]["operation"] == "" and off.record()["pid"] == pid, done
    assert standings(off)[1] == "passed"


FAILURES = [("bad-if", "not finite"), ("gone-if", "no final event"), ("steep-if", "the gradient norm is above")]


@pytest.mark.parametrize(("behaviour", "said"), some(FAILURES, 1))
def test_a_phase_that_fails_is_undone_alone(off: Project, behaviour: str, said: str) -> None:
    quick_gates(off, steps=100)
    assert next_phase(off).code == 0
    before = off.configs()
    off.behave(f"{behaviour}:improvements.use_ema=true")
    failed = next_phase(off, "--json")
    assert failed.code == 4, failed
    data = failed.json["data"]
    assert (data["standing"], data["verdict"]) == ("failed", "fail") and data["undone_by"] and data["contacts"]
    assert said in data["gate"][0]["detail"]
    assert off.configs() == before, "phase 1 stays"
    assert off.run("trainer", "status", "--json").json["data"]["state"] == "running"
    assert standings(off) == {1: "passed", 2: "failed", 3: "not begun"}
    rows = history(off)
    assert [row["command"] for row in rows[-3:]] == ["reenable", "undo", "reenable"]
    assert rows[-1]["outcome"] == "failed, undone" and said in rows[-1]["verdict"] and said in rows[-2]["reason"]
    evidence = off.root / ".atftctl/operations" / rows[-2]["operation"]
    assert any("metrics" in path.name for path in evidence.iterdir()), "what it looked like before the undo"

    again = next_phase(off)
    assert again.code == 3 and "failed at its gate" in again.err and "--force" in again.err
    assert off.run("undo", rows[-2]["operation"], "--yes", "--no-restart").code == 0
    guarded = off.run("trainer", "stop"), off.run("guard", "--", "true")
    assert guarded[1].code == 125 and "quarantined" in guarded[1].err and said in guarded[1].err, guarded


def test_a_failed_phase_passes_once_its_cause_is_gone(off: Project) -> None:
    off.behave("bad-if:improvements.output_head_small_init=true")
    quick_gates(off, steps=100)
    assert next_phase(off).code == 4
    off.behave()
    done = off.run("reenable", "--phase", "1", "--force", "the data was corrected", "--yes")
    assert done.code == 0, done
    assert "quarantined" not in off.run("status").out, "its config passed"
    assert next_phase(off).code == 0


def test_settings_that_are_not_taken_up_fail_the_gate(off: Project) -> None:
    off.replace(RUNBOOK, "settings: {output_head_small_init: true}", "settings: {use_ema: true}")
    failed = next_phase(off)
    assert failed.code == 4 and "improvements.use_ema: true was written, the trainer runs with false" in failed.out
    assert improvements(off)["use_ema"] is False


def test_checks_of_verify_are_part_of_the_gate(off: Project) -> None:
    quick_gates(off, checks="errors, service")
    done = next_phase(off, "--json")
    assert done.code == 0, done
    assert [line["name"] for line in done.json["data"]["gate"]] == ["steps", "error log clear", "service stable"]
    off.replace(RUNBOOK, "checks: [errors, service]", "checks: [memory]")  # of phase 1, which has passed
    assert "phase 1, gate.checks" in next_phase(off).err


def test_too_few_steps_hold_the_phase_until_it_is_accepted(off: Project) -> None:
    quick_gates(off, steps=NEVER, window_s=1)
    held = next_phase(off, "--json")
    assert held.code == 6 and held.json["data"]["standing"] == "held", held
    assert f"of {NEVER} steps so far" in held.json["data"]["headline"]
    assert "is held" in off.run("status").out and "atftctl resume" in off.run("status").out
    assert off.run("reenable", "--phase", "2", "--yes").code == 3
    for empty in ("", " "):
        refused = off.run("reenable", "--accept-inconclusive", empty)
        assert refused.code == 2 and "needs a reason" in refused.err, refused
    japanese = off.run("reenable", "--status", "--lang", "ja")
    assert f"{NEVER}ステップ中" in japanese.out, "what a gate saw is kept, and shown in the reader's language"
    assert off.run("reenable", "--accept-inconclusive", "x", "--phase", "2").code == 3, "phase 2 is not held"
    tree = record(off)
    assert off.run("reenable", "--accept-inconclusive", "x", "--dry-run").code == 0 and record(off) == tree
    accepted = off.run("reenable", "--accept-inconclusive", "the lead looked at the curves", "--json")
    assert accepted.code == 0 and accepted.json["data"]["standing"] == "accepted", accepted
    last = history(off)[-1]
    assert (last["outcome"], last["reason"]) == ("accepted", "the lead looked at the curves")
    assert "steps so far" in last["verdict"] and "the lead looked at the curves" in off.run("history").out
    assert off.run("reenable", "--accept-inconclusive", "again").code == 3
    quick_gates(off)  # another gate is an edited plan
    assert next_phase(off, "--force", "quicker gates").code == 0
    assert standings(off) == {1: "accepted", 2: "passed", 3: "not begun"}


def test_a_held_phase_goes_on_without_another_restart(off: Project) -> None:
    quick_gates(off, steps=250, window_s=1)
    assert next_phase(off).code == 6
    pid = off.record()["pid"]
    wait_for(lambda: off.read("logs/metrics.csv").count(b"\n") > 600)
    done = off.run("resume")
    assert done.code == 0 and "passed" in done.out and off.record()["pid"] == pid, done
    assert off.run("resume").code == 3


def test_no_trainer_nothing_to_judge(project: Project) -> None:
    quick_gates(project)
    assert project.run("rollback", "--immediate", "--yes").code == 0
    held = next_phase(project)
    assert held.code == 6 and "no trainer is running (never started)" in held.out, held
    assert improvements(project)["output_head_small_init"] is True, "the settings are written"
    project.start_trainer()
    assert next_phase(project).code == 0 and standings(project)[1] == "passed"


def test_no_restart_leaves_nothing_to_judge_either(off: Project) -> None:
    held = next_phase(off, "--no-restart")
    assert held.code == 6 and "has other settings than the files" in held.out
    assert off.run("trainer", "restart").code == 0
    assert off.run("resume").code == 0


def test_no_wait(off: Project) -> None:
    done = next_phase(off, "--no-wait")
    assert done.code == 0 and "not judged yet" in done.out
    assert standings(off)[1] == "watching" and off.run("reenable", "--phase", "2", "--yes").code == 3
    pid = off.record()["pid"]
    assert next_phase(off).code == 0 and standings(off)[1] == "passed" and off.record()["pid"] == pid


def test_a_halt_holds_the_phase_that_another_process_watches(off: Project) -> None:
    quick_gates(off, steps=NEVER, window_s=60)
    child = off.start("reenable", "--next", "--yes")
    wait_for(watched(off))
    busy = off.run("reenable", "--next", "--yes"), off.run("reenable", "--accept-inconclusive", "x")
    assert all(done.code == 3 and "is carrying out phase 1" in done.err for done in busy), busy
    halted = off.run("reenable", "--halt", "--reason", "the exchange is closed")
    assert halted.code == 0 and "is held as soon as" in halted.out, halted
    out, err = child.communicate(timeout=120)
    assert child.returncode == 6 and "halted by" in out and "the exchange is closed" in out, out + err
    assert improvements(off)["output_head_small_init"] is True, "it holds, it is not undone"
    for command in (("--next", "--yes"), ("--phase", "2", "--yes", "--force", "x"), ("--halt",)):
        refused = off.run("reenable", *command)
        assert refused.code == 3 and "the exchange is closed" in refused.err and "atftctl resume" in refused.err
    assert off.run("status").out.count("the exchange is closed") == 2, "the phases, and the last operation: once each"
    quick_gates(off)
    edited = off.run("resume")
    assert edited.code == 3 and "was edited" in edited.err, "the halt is lifted, the edit is another matter"
    assert next_phase(off, "--force", "quicker gate").code == 0


def test_an_edited_plan_is_noticed_between_two_phases(off: Project) -> None:
    assert next_phase(off).code == 0
    off.replace(RUNBOOK, "settings: {freq_dropout_p: 0.05}", "settings: {freq_dropout_p: 0.2}")
    refused = next_phase(off)
    assert refused.code == 3 and "phase 3, settings.freq_dropout_p: 0.05 → 0.2" in refused.err, refused
    assert "the plan was edited" in off.run("reenable", "--status").out
    off.replace(RUNBOOK, "settings: {freq_dropout_p: 0.2}", "settings: {freq_dropout_p: 0.05}")
    assert next_phase(off).code == 0
    quick_gates(off, steps=29)
    assert "gate.steps: 30 → 29" in next_phase(off).err
    dropped = off.run("resume", "--drop")
    assert dropped.code == 0 and set(standings(off).values()) == {"not begun"}
    assert off.run("reenable", "--phase", "3", "--yes").code == 3, "in place is not passed"


@pytest.mark.parametrize("how", some(["undo", "rollback", "editor"], 1))
def test_a_pass_is_void_once_its_settings_are_gone(off: Project, how: str) -> None:
    assert next_phase(off, "--json").json["data"]["standing"] == "passed"
    second = next_phase(off, "--json").json["data"]
    if how == "undo":
        assert off.run("undo", second["operation"], "--yes").code == 0
    elif how == "rollback":
        assert off.run("rollback", "--symptom", "oom", "--yes").code == 0
    else:
        off.replace(CONFIG, "use_ema: true", "use_ema: false")
    assert standings(off) == {1: "passed", 2: "void", 3: "not begun"}
    assert off.run("reenable", "--phase", "3", "--yes").code == 3
    if how == "undo":
        undone = history(off)[-1]["operation"]
        assert off.run("undo", undone, "--yes").code == 0 and improvements(off)["use_ema"] is True
        assert standings(off)[2] == "void", "that the settings came back by an undo is no pass"
        assert f"undo {undone} took its settings away" in off.run("reenable", "--status").out
    assert next_phase(off).code == 0 and standings(off)[2] == "passed"


def test_an_undo_while_the_phase_is_watched(off: Project) -> None:
    quick_gates(off, steps=NEVER, window_s=60)
    child = off.start("reenable", "--next", "--yes", "--json")
    wait_for(watched(off))
    assert off.run("undo", "--yes").code == 0
    out, err = child.communicate(timeout=120)
    assert child.returncode == 6 and json.loads(out)["data"]["standing"] == "void", out + err
    assert improvements(off)["output_head_small_init"] is False
    assert off.run("resume").code == 3, "a resume does not bring the settings back"


def test_another_trainer_in_the_window_is_not_judged_unasked(off: Project) -> None:
    quick_gates(off, steps=150, window_s=60)
    child = off.start("reenable", "--next", "--yes")
    wait_for(watched(off))
    assert off.run("trainer", "restart").code == 0
    out, err = child.communicate(timeout=120)
    # What it sees depends on when it looks: between the two trainers there is none.
    assert child.returncode == 6 and ("another trainer was started" in out or "not run any more" in out), out + err
    assert off.run("resume").code == 0


@pytest.mark.parametrize("moment", ["changing", "watching"])
def test_killed_and_resumed(off: Project, moment: str) -> None:
    quick_gates(off, steps=120, window_s=30)
    off.behave("slow-stop")  # the change lasts a second
    off.run("trainer", "restart")
    child = off.start("reenable", "--next", "--yes")
    wait_for(lambda: f'"doing": "{moment}"' in record(off))
    child.kill()
    child.wait()
    child.communicate()
    assert "atftctl resume" in off.run("status").out
    done = off.run("resume")
    assert done.code == 0 and "passed" in done.out, done
    if moment == "watching":
        starts = [line for line in off.read("logs/events.jsonl").splitlines() if b'"started"' in line]
        assert len(starts) == 3, "started, restarted, and by the phase; not again by resume"
    assert standings(off)[1] == "passed"
    operation = json.loads(record(off))["body"]["phases"][0]["operation"]
    assert off.run("undo", operation, "--yes").code == 0 and improvements(off)["output_head_small_init"] is False


def test_killed_before_a_failed_phase_was_undone(off: Project) -> None:
    quick_gates(off, steps=100)
    off.behave("bad-if:improvements.output_head_small_init=true", "slow-stop")
    child = off.start("reenable", "--next", "--yes")
    wait_for(lambda: '"doing": "undoing"' in record(off))
    child.kill()
    child.communicate()
    assert "is being undone" in off.run("status").out
    done = off.run("resume", "--json")
    assert done.code == 4 and done.json["data"]["standing"] == "failed", done
    assert improvements(off)["output_head_small_init"] is False
    assert history(off)[-1]["outcome"] == "failed, undone" and "not finite" in history(off)[-1]["verdict"]


def test_ctrl_c_leaves_the_phase_to_be_judged(off: Project) -> None:
    quick_gates(off, steps=NEVER, window_s=60)
    child = off.start("reenable", "--next", "--yes")
    wait_for(watched(off))
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 130 and "its gate is not judged" in err and "atftctl resume" in err, err
    assert "changed its files" in err and "are being changed" not in err, "that was done long before"
    assert standings(off)[1] == "watching" and improvements(off)["output_head_small_init"] is True
    assert off.run("resume", "--dry-run").code == 0


def test_after_a_reboot_the_phase_is_neither_failed_nor_passed(off: Project) -> None:
    quick_gates(off, steps=NEVER, window_s=1)
    assert next_phase(off).code == 6
    reboot(off)
    for command in (("resume",), ("reenable", "--next", "--yes")):
        held = off.run(*command)
        assert held.code == 6 and "the machine was restarted" in held.out, held
    assert improvements(off)["output_head_small_init"] is True
    again = off.run("reenable", "--phase", "1", "--yes")
    assert again.code == 6 and f"of {NEVER} steps" in again.out, "started again, and watched"
    assert off.run("trainer", "status", "--json").json["data"]["state"] == "running"
    operation = json.loads(record(off))["body"]["phases"][0]["operation"]
    assert operation, "the phase can still be undone"
    assert off.run("undo", operation, "--yes").code == 0


def reboot(project: Project) -> None:
    """The trainer is gone, and its record is of another boot."""
    import os

    os.kill(project.record()["pid"], signal.SIGKILL)
    wait_for(lambda: project.run("trainer", "status", "--json").json["data"]["state"] == "died")
    path = project.root / ".atftctl/process.json"
    path.write_text(json.dumps({**project.record(), "boot": "another-boot"}))


def test_a_trainer_that_dies_while_nobody_watches_fails_the_gate(off: Project) -> None:
    import os

    quick_gates(off, steps=NEVER, window_s=1)
    assert next_phase(off).code == 6
    os.kill(off.record()["pid"], signal.SIGKILL)
    wait_for(lambda: off.run("trainer", "status", "--json").json["data"]["state"] == "died")
    failed = off.run("reenable", "--phase", "1", "--yes")
    assert failed.code == 4 and "no final event" in failed.out, failed


def test_an_undo_that_is_impossible_stops_and_can_be_resumed(off: Project) -> None:
    quick_gates(off, steps=300, window_s=60)
    off.behave("steep-if:improvements.output_head_small_init=true")
    child = off.start("reenable", "--next", "--yes", "--no-wait")
    child.communicate(timeout=120)
    off.replace(CONFIG, "hidden_size: 32", "hidden_size: 33")
    stopped = next_phase(off)
    assert stopped.code == 5 and "would lose that change" in stopped.err and "atftctl resume" in stopped.err, stopped
    assert "contact" in stopped.err and standings(off)[1] == "undoing"
    off.replace(CONFIG, "hidden_size: 33", "hidden_size: 32")
    assert off.run("resume").code == 4 and standings(off)[1] == "failed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("checks: []", "checks: [memry]", "did you mean memory?"),
        ("checks: []", "checks: [quality]", "quality: no-worse"),
        ("checks: []", "checks: [memory, memory]", "listed twice"),
        (" steps: 30", " steps: 0", "out of its range"),
        (" steps: 30", " steps: 10001", "out of its range"),
        ("window_s: 20", "window_s: 0", "out of its range"),
        ("checks: []", "checks: []\n        quality: better", "no-worse, improved"),
        ("checks: []", "chekcs: []", "checks"),
    ],
)
def test_a_gate_that_is_wrong_is_refused(project: Project, old: str, new: str, said: str) -> None:
    quick_gates(project)
    project.replace(RUNBOOK, old, new)
    before = project.configs()
    lint = project.run("runbook", "lint")
    assert lint.code == 1 and "plans.after-incident.0.gate" in lint.out and said in lint.out, lint
    assert next_phase(project).code == 3 and project.configs() == before


def test_a_phase_without_a_gate_has_the_default_one(project: Project) -> None:
    runbook = yaml.safe_load(project.read(RUNBOOK))
    for phase in runbook["plans"]["after-incident"]:
        del phase["gate"]
    project.write(RUNBOOK, yaml.safe_dump(runbook, allow_unicode=True))
    shown = project.run("reenable", "--phase", "1", "--dry-run").out
    assert "200 healthy steps within 600 s" in shown and "checks model, training, errors, service" in shown, shown


def test_options_that_do_not_go_together(off: Project) -> None:
    for options in ((), ("--next", "--phase", "1"), ("--status", "--halt"), ("--status", "--force", "x"),
                    ("--accept-inconclusive", "x", "--next"), ("--phase", "0"), ("--next", "--force", " ")):  # fmt: skip
        assert off.run("reenable", *options).code == 2, options
    assert off.run("reenable", "--status", "--plan", "deploymnt").code == 2
    assert next_phase(off).code == 0
    other = off.run("reenable", "--phase", "1", "--plan", "deployment", "--yes", "--json")
    assert other.code == 0 and other.json["data"]["plan_name"] == "deployment", "no phase of the other plan is open"


def test_a_record_that_is_not_ours_is_not_believed(off: Project) -> None:
    assert next_phase(off).code == 0
    whole = record(off)
    for text in ("{}", whole[: len(whole) // 2], whole.replace('"passed"', '"accepted"'), "[" * 5000):
        off.write(".atftctl/reenable.json", text)
        refused = next_phase(off)
        assert refused.code == 3 and "can't be read" in refused.err and "rm " in refused.err, refused
        assert off.run("status").code == 0
        assert off.run("rollback", "--symptom", "oom", "--dry-run").code in (0, 3), "no rescue needs it"
    off.write(".atftctl/reenable.json", whole)
    off.write(".atftctl/reenable.halt.json", "{")
    assert next_phase(off).code == 3, "a halt that can't be read may be one"
    assert off.run("resume").code in (0, 3) and next_phase(off).code == 0


def test_nothing_was_written_where_the_change_was_refused(off: Project) -> None:
    ask_trainer(off)
    off.write(TRAINING, off.read(TRAINING) + b"\nbroken: [")
    assert next_phase(off).code == 3 and record(off) == ""
