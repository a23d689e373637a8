"""`reenable` where something comes in between: a crash, a halt, an edit, another operation."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest

from atftctl.domain.reenabling import PhaseRecord, View
from atftctl.operations.reenable.begin import operation_of
from atftctl.state import reenable as store
from tests.cli.test_gates import NEVER, history, improvements, next_phase, record, standings, watched
from tests.support.gates import off_and_running, quick_gates
from tests.support.projects import CONFIG, Project, wait_for
from tests.support.snapshots import layout_of


@pytest.fixture
def off(project: Project) -> Project:
    """Every improvement is off, the trainer runs, and gates are quick."""
    quick_gates(project)
    off_and_running(project)
    return project


def put(project: Project, phase: PhaseRecord) -> None:
    """Write the record of a phase as a process leaves it that is killed."""
    layout = layout_of(project.root)
    state = store.read(layout)
    assert state is not None
    store.write(layout, replace(state.having(phase), maker=""))


def phase_of(project: Project, number: int) -> PhaseRecord:
    state = store.read(layout_of(project.root))
    phase = state.phase(number) if state else None
    assert phase is not None
    return phase


def test_a_failed_phase_is_undone_although_an_earlier_one_was_taken_away(off: Project) -> None:
    assert next_phase(off).code == 0
    quick_gates(off, steps=NEVER, window_s=60)
    child = off.start("reenable", "--next", "--yes", "--force", "more steps")
    wait_for(watched(off))
    off.replace(CONFIG, "output_head_small_init: true", "output_head_small_init: false")
    os.kill(off.record()["pid"], signal.SIGKILL)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 5 and "would lose that change" in err, out + err
    assert b"failed at its gate" in off.read(".atftctl/quarantine.jsonl")
    stopped = off.run("resume")
    assert stopped.code == 5 and improvements(off)["use_ema"] is True and standings(off)[2] == "undoing", stopped
    off.replace(CONFIG, "output_head_small_init: false", "output_head_small_init: true")
    done = off.run("resume")
    assert done.code == 4 and improvements(off)["use_ema"] is False and standings(off)[2] == "failed", done


def test_steps_of_the_old_settings_do_not_count_after_a_crash(off: Project) -> None:
    assert next_phase(off, "--no-restart").code == 6
    held = phase_of(off, 1)
    state = store.read(layout_of(off.root))
    assert state and operation_of(layout_of(off.root), state, held)[0] == held.operation
    later = replace(held, began="2999-01-01T00:00:00+00:00")
    assert operation_of(layout_of(off.root), state, later) == ("", ""), "that of an earlier time may be undone"
    wait_for(lambda: off.read("logs/metrics.csv").count(b"\n") > 60)
    for began in (held.began, later.began):
        put(off, replace(held, doing="changing", began=began, view=View()))
        done = off.run("resume")
        assert done.code == 6 and "has other settings than the files" in done.out, done


def test_a_rollback_that_recovery_finished_voids_the_pass(off: Project) -> None:
    assert next_phase(off).code == 0
    pid = off.record()["pid"]
    off.behave("silent")  # the rollback waits for the first step
    child = off.start("rollback", "--immediate", "--yes")
    wait_for(lambda: off.record()["pid"] not in (None, pid))
    child.kill()
    child.communicate()
    off.behave()
    assert off.run("recover").code == 0 and improvements(off)["output_head_small_init"] is False
    assert off.run("config", "set", "output_head_small_init=true", "--yes").code == 0
    assert standings(off)[1] == "void", "that the settings came back is no pass"


def test_an_edited_plan_does_not_begin_anew_while_a_phase_is_half_undone(off: Project) -> None:
    assert next_phase(off).code == 0
    put(off, replace(phase_of(off, 1), number=2, doing="undoing", note="failed"))
    quick_gates(off, steps=29)
    refused = off.run("reenable", "--phase", "1", "--yes")
    assert refused.code == 3 and "phase 2 of after-incident is not finished" in refused.err, refused
    other = off.run("reenable", "--phase", "1", "--plan", "deployment", "--yes")
    assert other.code == 3 and standings(off)[2] == "undoing", other


def test_a_change_that_is_put_back_leaves_the_halt(off: Project) -> None:
    off.behave("slow-stop")
    assert off.run("trainer", "restart").code == 0
    child = off.start("reenable", "--next", "--yes")
    wait_for(lambda: '"doing": "changing"' in record(off))
    assert off.run("reenable", "--halt", "--reason", "wait").code == 0
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 130 and record(off) == "", err
    assert "wait" in next_phase(off).err, "still halted"
    dropped = off.run("resume", "--drop")
    assert dropped.code == 0 and "lifted: the phases were halted" in dropped.out, dropped


def test_a_halt_is_lifted_while_its_process_has_not_seen_it(off: Project) -> None:
    quick_gates(off, steps=NEVER, window_s=60)
    child = off.start("reenable", "--next", "--yes")
    wait_for(watched(off))
    child.send_signal(signal.SIGSTOP)
    assert off.run("reenable", "--halt").code == 0
    lifted = off.run("resume")
    assert lifted.code == 0 and f"pid {child.pid} goes on with phase 1" in lifted.out, lifted
    child.send_signal(signal.SIGCONT)
    assert off.run("trainer", "stop").code == 0
    assert child.wait(120) == 6


def test_a_live_reload_in_the_window_is_not_judged_unasked(off: Project) -> None:
    quick_gates(off, steps=NEVER, window_s=60)
    child = off.start("reenable", "--next", "--yes")
    wait_for(watched(off))
    assert off.run("config", "set", "freq_dropout_p=0.01", "--live", "--yes").code == 0
    out, err = child.communicate(timeout=120)
    assert child.returncode == 6 and "took up other settings" in out, out + err
    assert improvements(off)["output_head_small_init"] is True


def test_a_forced_phase_that_was_killed_is_resumed_with_its_reason(off: Project) -> None:
    assert off.run("config", "set", "output_head_small_init=true", "--yes").code == 0
    off.behave("slow-stop")
    assert off.run("trainer", "restart").code == 0
    child = off.start("reenable", "--phase", "2", "--yes", "--force", "by hand")
    wait_for(lambda: '"doing": "changing"' in record(off))
    child.kill()
    child.communicate()
    assert off.run("recover").code in (0, 1) and improvements(off)["use_ema"] is False
    done = off.run("resume")
    assert done.code == 0 and standings(off)[2] == "passed", done
    assert phase_of(off, 2).forced == "by hand" and history(off)[-1]["about"]["forced"] == "by hand"


def test_an_undo_after_which_the_trainer_is_not_healthy_says_so(off: Project) -> None:
    off.behave("other-digest")
    failed = next_phase(off, "--json")
    assert failed.code == 1 and failed.json["data"]["standing"] == "failed", failed
    assert improvements(off)["output_head_small_init"] is False and history(off)[-1]["exit_code"] == 1
    assert json.loads(record(off))["body"]["phases"][0]["undone_by"]
