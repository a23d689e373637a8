"""`watch --auto` and `--shadow` as a user runs them, and every fault on the way, with a stand-in trainer."""

from __future__ import annotations

import os
import pkgutil
import signal
import subprocess
import time
from dataclasses import replace
from typing import Any

import pytest

from atftctl.domain.acting import Decision, Memory
from atftctl.domain.diagnosis import Diagnosis, Evidence, Hypothesis
from atftctl.operations.alerting import outbox
from atftctl.operations.monitoring import acting
from atftctl.operations.project import open_project
from atftctl.state import acts as acts_state
from tests.support.faults import FULL, KILLED, Faults, in_child
from tests.support.looks import decided, look_at, memory
from tests.support.projects import RUNBOOK, Ended, Project, wait_for

EMA = "oom-if:improvements.use_ema=true"
LATER_S = 400.0  # after the cool-down of 300 s


def dies(project: Project, *words: str) -> None:
    """Start a trainer that behaves so, and wait until it has died."""
    project.behave(*words)
    project.run("trainer", "restart" if (project.root / ".atftctl/process.json").exists() else "start")
    wait_for(lambda: project.run("status", "--json").json["data"]["trainer"]["state"] == "died")


def state(project: Project) -> str:
    return str(project.run("trainer", "status", "--json").json["data"]["state"])


def operations(project: Project) -> list[dict[str, Any]]:
    return list(project.run("history", "--json").json["data"]["operations"])


def rollbacks(project: Project) -> list[dict[str, Any]]:
    return [entry for entry in operations(project) if entry["command"] == "rollback"]


def auto(project: Project) -> subprocess.Popen[str]:
    """A watcher that acts, and has looked once."""
    watcher = project.start("watch", "--auto", "--trust-defaults", "--interval", "0.1")
    assert watcher.stdout
    watcher.stdout.readline()
    return watcher


def ended(watcher: subprocess.Popen[str]) -> Ended:
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=20)
    return Ended(watcher.returncode, out, err)


def test_out_of_memory_is_rolled_back_and_watched(project: Project) -> None:
    project.replace(RUNBOOK, "# Rules of your own", "acting: {healthy_steps: 100}\n# Rules of your own")
    project.behave(EMA)
    project.start_trainer()
    watcher, said, deadline = auto(project), list[str](), time.monotonic() + 60
    assert watcher.stdout
    for line in watcher.stdout:  # there is one each minute at least
        said.append(line)
        if "the trainer is healthy again" in line:
            break
        assert time.monotonic() < deadline, said
    assert ended(watcher).code == 0
    assert any("rolled back for oom: a fatal event" in line for line in said), said
    assert state(project) == "running"
    [entry] = rollbacks(project)
    [act] = remembered(project)
    assert entry["reason"].startswith("watch: out of memory in step"), entry
    assert entry["about"]["watch"] == act["id"] and act["operation"] == entry["operation"]
    shown = project.run("show")
    assert "asked by" in shown.out and "the watcher" in shown.out, shown


def remembered(project: Project) -> list[dict[str, Any]]:
    return list(memory(project)["acts"]) if (project.root / ".atftctl/acts.json").exists() else []


def test_without_auto_nothing_is_done(project: Project) -> None:
    dies(project, "oom")
    before = project.tree()
    assert decided(project, "propose")["kind"] == "propose"
    assert project.tree() == before


def test_a_shadow_writes_what_it_would_have_done(project: Project) -> None:
    dies(project, "oom")
    configs, once = project.configs(), project.run("watch", "--once", "--shadow")
    assert "it would have acted: a fatal event" in once.out and once.code == 1, once
    [act] = remembered(project)
    assert (act["mode"], act["outcome"], act["symptom"]) == ("shadow", "shadow", "oom")
    assert project.configs() == configs and not rollbacks(project)
    assert decided(project, "shadow")["kind"] == "hold", "written once"


def test_the_new_trainer_does_not_come_up(project: Project) -> None:
    """It escalates and stops; it never tries again by itself, until a person has taken over."""
    dies(project, "oom")
    called = decided(project)
    assert called["kind"] == "page" and called["contacts"] and called["operation"], called
    assert remembered(project)[-1]["outcome"] == "failed"
    [told] = project.run("alert", "list", "--json").json["data"]["alerts"]
    assert told["origin"] == "atftctl", "routes are told that a person is needed"
    for later in (1.0, 1000.0, 100_000.0):
        assert decided(project, now=time.time() + later)["kind"] == "hold"
    assert len(rollbacks(project)) == 1
    project.behave(EMA)
    assert project.run("config", "set", "improvements.use_ema=true", "--yes").code == 0
    wait_for(lambda: state(project) == "died")
    assert decided(project, now=time.time() + LATER_S)["kind"] == "act", "a person has taken over: a new run"
    assert state(project) == "running"


def test_a_fault_that_returns_gets_the_next_remedy_then_a_person(project: Project) -> None:
    """The same fault, no step beyond the last one: other settings; where none are left, a person."""
    project.behave(EMA, "oom-if:improvements.huber_loss=true", "oom-if:model.hidden_size=32")
    project.start_trainer()
    wait_for(lambda: state(project) == "died")
    kinds, now = [], time.time()
    for number in range(3):
        kinds.append(decided(project, now=now + number * LATER_S)["kind"])
        wait_for(lambda: state(project) == "died")
    assert kinds == ["act", "act", "page"], memory(project)
    first, second = rollbacks(project)
    assert first["changes"] != second["changes"] and "no further remedy is left" in memory(project)["stopped"]["why"]
    answers = [act["answer"] for act in remembered(project)]
    assert len(set(answers)) == 2


def test_a_flapping_trainer_has_a_budget(project: Project) -> None:
    """Each time it comes further, and dies again: three rollbacks, then a person. A supervisor's start is no new run."""
    project.behave("go-on", "oom-if:model.hidden_size=32")
    project.start_trainer()
    kinds, now = [], time.time()
    for number in range(5):
        wait_for(lambda: state(project) == "died")
        kinds.append(decided(project, now=now + number * LATER_S)["kind"])
        if number == 1:
            wait_for(lambda: state(project) == "died")
            project.run("trainer", "start")
    assert kinds == ["act", "act", "act", "page", "hold"], memory(project)
    assert len(rollbacks(project)) == 3 and "3 rollbacks" in memory(project)["stopped"]["why"]


def test_act_again(project: Project) -> None:
    test_a_flapping_trainer_has_a_budget(project)
    watcher = project.start("watch", "--auto", "--trust-defaults", "--act-again", "--interval", "0.1")
    wait_for(lambda: memory(project)["reset"] > 0)
    ended(watcher)
    assert memory(project)["stopped"] is None
    assert decided(project, now=time.time() + 4 * LATER_S)["kind"] == "act"


def test_act_again_beside_a_watcher_changes_nothing(project: Project) -> None:
    """The other one may be writing down a rollback."""
    test_a_rollback_that_fails_is_put_back_and_not_tried_again(project)
    before = project.read(".atftctl/acts.json")
    first = project.start("watch", "--interval", "0.1")
    assert first.stdout
    first.stdout.readline()
    for more in ((), ("--once",)):
        project.run("watch", "--auto", "--trust-defaults", "--act-again", *more)
        assert project.read(".atftctl/acts.json") == before
    ended(first)


def test_an_undo_by_a_person_is_final(project: Project) -> None:
    project.behave(EMA)
    project.start_trainer()
    wait_for(lambda: state(project) == "died")
    assert decided(project)["kind"] == "act"
    assert project.run("undo", "--yes").code == 0
    wait_for(lambda: state(project) == "died")
    again = decided(project, now=time.time() + LATER_S)
    assert again["kind"] == "page" and "a person undid this rollback" in again["why"], again
    assert len(rollbacks(project)) == 1


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        pytest.param([("trainer", "stop")], "stopped", id="stopped on purpose"),
        pytest.param([("trainer", "restart")], "another trainer was started", id="started by a person"),
        pytest.param([("config", "set", "improvements.use_ema=false", "--yes")], "another trainer", id="changed"),
        pytest.param(
            [("config", "set", "improvements.use_ema=false", "--yes", "--no-restart", "--confirm-within", "1h")],
            "waits for its confirmation",
            id="a change that waits",
        ),
    ],
)
def test_an_operator_was_faster(project: Project, commands: list[tuple[str, ...]], words: str) -> None:
    """What was seen before is not acted on after."""
    project.start_trainer()
    seen = with_proof(project)
    for command in commands:
        assert project.run(*command).code == 0
    before = rollbacks(project)
    held = decided(project, **{name: getattr(seen, name) for name in ("process", "diagnosis", "now")})
    assert held["kind"] == "hold" and words in held["why"], held
    assert rollbacks(project) == before


def with_proof(project: Project) -> Any:
    """A look at a trainer that runs, with a proof that it is out of memory."""
    proof = Evidence("events", "proof", "out-of-memory", "out of memory in step 9")
    return replace(
        look_at(project.root), diagnosis=Diagnosis(False, (Hypothesis("out-of-memory", "certain", (proof,)),))
    )


def test_the_trainer_dies_during_the_rollback(project: Project) -> None:
    project.start_trainer()
    seen, pid = with_proof(project), project.record()["pid"]

    def kill_it() -> None:
        from atftctl.apply.operation import Operation

        real = Operation.stop

        def dies(operation: Operation) -> list[int]:
            os.kill(pid, signal.SIGKILL)
            return real(operation)

        Operation.stop = dies  # type: ignore[method-assign]

    done = decided(project, before=kill_it, process=seen.process, diagnosis=seen.diagnosis)
    assert done["kind"] == "act" and state(project) == "running", done


def test_somebody_holds_the_lock_or_an_operation_is_open(project: Project) -> None:
    from atftctl.host import locks

    project.start_trainer()
    seen = with_proof(project)
    fields = {name: getattr(seen, name) for name in ("process", "diagnosis")}
    with locks.exclusive(project.root / ".atftctl/lock", command="backup", reason="before the release"):
        held = decided(project, **fields)
    assert held["kind"] == "hold" and "before the release" in held["why"], held
    killed = in_child(lambda: _start_change(project), Faults(40))
    assert killed[0] == KILLED
    held = decided(project, **fields)
    assert held["kind"] == "hold" and "an operation was interrupted" in held["why"], held


def _start_change(project: Project) -> None:
    from atftctl.decide.plans.builder import RestartPolicy
    from atftctl.operations.request import Request
    from atftctl.operations.rollback import routes

    os.chdir(project.root)
    routes.immediate(open_project(project.root), RestartPolicy(restart=False), Request())


# The function after which, or before which, the watcher is killed; and what must come of it.
KILLS = [
    pytest.param("atftctl.apply.operation.Operation.open", False, "forgotten", id="decided and written"),
    pytest.param("atftctl.apply.operation.Operation.open", True, "put back", id="begun"),
    pytest.param("atftctl.apply.operation.Operation.take_snapshot", True, "put back", id="before the change"),
    pytest.param("atftctl.apply.operation.Operation.change", True, "", id="changed"),
    pytest.param("atftctl.apply.operation.Operation.start", True, "", id="started"),
    pytest.param("atftctl.operations.monitoring.carrying._ended", False, "", id="ended and not recorded"),
]


@pytest.mark.parametrize(("where", "after", "outcome"), KILLS)
def test_killed_between_decision_and_end(project: Project, where: str, after: bool, outcome: str) -> None:
    """It finishes or forgets, and never does half; what was never begun is decided anew."""
    dies(project, "oom")
    project.behave()
    before = project.configs()
    assert decided(project, before=lambda: kill_at(where, after=after)) == {}, "killed"
    [act] = remembered(project)
    assert not act["ended"] and not act["outcome"]
    later = decided(project)
    assert not list((project.root / ".atftctl/journal").glob("*.json")), "no operation is left open"
    first = next(known for known in remembered(project) if known["id"] == act["id"])
    assert first["outcome"] == outcome and first["ended"], first
    assert (outcome == "forgotten") == (not first["operation"]), first
    if outcome == "put back":
        assert later["kind"] == "hold" and project.configs() == before, "it was begun: the cool-down holds"
        assert decided(project, now=time.time() + LATER_S)["kind"] == "act"
    if outcome == "forgotten":
        assert later["kind"] == "act", later
    wait_for(lambda: state(project) == "running")
    assert project.configs() != before
    done = [entry for entry in rollbacks(project) if not str(entry["outcome"]).startswith("put back")]
    assert len(done) == 1, "done once"


def test_a_person_recovers_what_a_kill_cut_short(project: Project) -> None:
    """Meanwhile the rollback is not forgotten: it would count neither for the budget nor against the same answer."""
    from atftctl.host import locks

    dies(project, "oom")
    project.behave()
    decided(project, before=lambda: kill_at("atftctl.apply.operation.Operation.change", after=True))
    with locks.exclusive(project.root / ".atftctl/lock", command="recover", reason=""):
        decided(project)
    assert [act["outcome"] for act in remembered(project)] == [""]
    assert project.run("recover").code == 0
    wait_for(lambda: state(project) == "running")
    decided(project)
    [act] = remembered(project)
    assert act["operation"] == rollbacks(project)[0]["operation"] and act["outcome"] != "forgotten", act


def test_the_operator_interrupts_the_recovery_of_what_a_kill_cut_short(project: Project) -> None:
    """That calls nobody, since somebody is there; what is left open is said, and the next watcher recovers it."""
    from atftctl.host import locks

    project.behave("ignore-term")
    project.start_trainer()
    seen = with_proof(project)
    fields = {name: getattr(seen, name) for name in ("process", "diagnosis")}
    stop = "atftctl.apply.trainer_process.stop"
    assert decided(project, before=lambda: kill_at(stop, after=False), **fields) == {}, "killed"
    watcher = project.start("watch", "--auto", "--trust-defaults", "--interval", "0.1")
    wait_for(lambda: locks.holder(project.root / ".atftctl/lock") is not None)
    time.sleep(0.5)
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=30)
    assert "an operation was interrupted: recovery will" in err and "atftctl recover" in err, (out, err)
    assert not memory(project)["stopped"] and not project.run("alert", "list", "--json").json["data"]["alerts"]
    decided(project)
    assert [act["outcome"] for act in remembered(project)] == ["put back"]
    wait_for(lambda: state(project) == "running")


def test_a_person_is_called_for_what_has_failed_after_a_kill(project: Project) -> None:
    dies(project, "oom")
    decided(project, before=lambda: kill_at("atftctl.operations.monitoring.carrying._ended", after=False))
    assert rollbacks(project)[0]["exit_code"] != 0
    called = decided(project)
    assert called["kind"] == "page" and called["contacts"] and memory(project)["stopped"], called
    assert len(project.run("alert", "list", "--json").json["data"]["alerts"]) == 1
    assert decided(project, now=time.time() + LATER_S)["kind"] == "hold"


def test_what_was_seen_long_ago_is_not_acted_on(project: Project) -> None:
    """The watcher was stopped between its look and its act, by Ctrl-S or a laptop that was closed."""
    dies(project, "oom")
    project.behave()
    held = decided(project, now=time.time() - 61)
    assert held["kind"] == "hold" and "it looks again" in held["why"], held
    assert decided(project)["kind"] == "act"


def kill_at(where: str, *, after: bool) -> None:
    """In a child: it is killed before or after it calls this function."""
    place, _, name = where.rpartition(".")
    owner = pkgutil.resolve_name(place)
    real = getattr(owner, name)

    def struck(*arguments: Any, **options: Any) -> Any:
        if after:
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, struck)


def test_two_watchers_decide_at_once(project: Project) -> None:
    """One rolls back; the other sees that it was done."""
    dies(project, "oom")
    project.behave()
    seen = look_at(project.root)
    assert decided(project)["kind"] == "act"
    second = decided(project, process=seen.process, diagnosis=seen.diagnosis, now=seen.now + LATER_S)
    assert second["kind"] == "hold" and "another trainer was started" in second["why"], second
    first, other = auto(project), project.start("watch", "--auto", "--trust-defaults")
    out, err = other.communicate(timeout=30)
    assert other.returncode == 3 and "is watching here" in err, (out, err)
    ended(first)
    assert len(rollbacks(project)) == 1


def test_a_full_disk(project: Project) -> None:
    """What can't be written down is not done, and the watcher says so."""
    dies(project, "oom")
    project.behave()
    before = project.configs()

    def fill_up() -> None:
        def full(layout: Any, memory: Any) -> None:
            del layout, memory
            raise OSError(FULL, os.strerror(FULL))

        acts_state.write = full  # type: ignore[assignment]

    held = decided(project, before=fill_up)
    assert held["kind"] == "hold" and "No space left on device" in held["why"], held
    assert project.configs() == before and not rollbacks(project)


def test_a_call_that_cant_be_written_is_told_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher looks twice a second, and would call a person as often."""
    told = list[str]()

    def full(*_: object) -> None:
        raise OSError(FULL, os.strerror(FULL))

    monkeypatch.setattr(acts_state, "write", full)
    monkeypatch.setattr(outbox, "page", lambda project, why, command: told.append(why))
    opened = open_project(project.root)
    for why in ("used up", "used up", "undone", "used up"):
        assert acting.call(opened, Memory(), Decision("page", why), 1.0).kind == "page"
    assert told == ["used up", "undone"]


def test_a_rollback_that_fails_is_put_back_and_not_tried_again(project: Project) -> None:
    dies(project, "oom")
    project.behave()
    before = project.configs()

    def fail() -> None:
        from atftctl.apply.operation import Operation

        def broken(operation: Operation) -> None:
            raise OSError(5, os.strerror(5), "configs/atft/config.yaml")

        Operation.change = broken  # type: ignore[method-assign]

    called = decided(project, before=fail)
    assert called["kind"] == "page" and "Input/output error" in called["why"] and called["contacts"], called
    assert project.configs() == before and remembered(project)[-1]["outcome"] == "put back"
    assert decided(project, now=time.time() + 10 * LATER_S)["kind"] == "hold"
    assert len(rollbacks(project)) == 1


def test_a_damaged_memory_is_no_new_budget(project: Project) -> None:
    dies(project, "oom")
    project.behave()
    project.write(".atftctl/acts.json", "{}")
    held = decided(project)
    assert held["kind"] == "hold" and "can't be read" in held["why"], held
    done = project.run("watch", "--auto", "--trust-defaults", "--once")
    assert done.code == 3 and "rm " in done.err, done
    assert not rollbacks(project)


def test_a_refused_rollback_calls_a_person(project: Project) -> None:
    """A runbook that is broken now; it was whole when the watcher was started."""
    dies(project, "oom")
    seen = look_at(project.root)
    opened = open_project(project.root)
    project.replace(RUNBOOK, "version: 1", "version: one")
    from atftctl.domain.result import Silent

    called = acting.consider(opened, seen, Silent(), "auto")
    assert called.kind == "page" and "version" in called.why, called
    assert not rollbacks(project)


def test_thresholds_that_changed_under_the_watcher(project: Project) -> None:
    dies(project, "oom")
    seen, opened = look_at(project.root), open_project(project.root)
    project.replace(RUNBOOK, "above: 2.0", "above: 9.0")
    from atftctl.domain.result import Silent

    held = acting.consider(opened, seen, Silent(), "auto")
    assert held.kind == "hold" and "start the watcher again" in held.why, held


def test_status_shows_the_watcher(project: Project) -> None:
    assert "watcher" not in project.run("status").out
    project.behave(EMA)
    project.start_trainer()
    watcher = auto(project)
    wait_for(lambda: [act for act in remembered(project) if act["ended"]], 30)
    running = project.run("status", "--json").json["data"]["watcher"]
    assert running["running"] and running["command"] == "watch --auto" and running["left"] == 2, running
    assert running["last"]["symptom"] == "oom" and running["last"]["operation"] == rollbacks(project)[0]["operation"]
    ended(watcher)
    dies(project, "oom")
    decided(project, now=time.time() + LATER_S)
    shown = project.run("status")
    assert "the watcher has called for a person" in shown.out and "contact" in shown.out, shown
    assert "watcher: none runs, rollbacks left: 2" in shown.out, "a restart by hand began a new run"
    project.write(".atftctl/acts.json", "{}")
    assert "can't be read" in project.run("status").out
