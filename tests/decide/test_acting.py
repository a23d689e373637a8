"""When the watcher may act: which signals are enough, and which limits forbid it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from atftctl.decide.acting import afterwards, past, policy, standing
from atftctl.decide.acting.signals import independent, signals_of
from atftctl.decide.diagnosis import judge
from atftctl.domain.acting import Act, Acting, Memory, Past, Standing, Stopped
from atftctl.domain.diagnosis import Diagnosis, Evidence
from atftctl.domain.facts import Process
from atftctl.domain.process_state import ProcessState
from atftctl.domain.watching import Look
from atftctl.observe.runbook import load, locate
from tests.support.projects import ROOT

BOOK = load.load(locate.find_project(ROOT)).runbook
NOW = 1_796_000_000.0
RUNNING = Process(state="running", pid=7, run_id="r", generation=4, step=500)


def alarm(detector: str, column: str, cause: str = "anomaly", strength: str = "strong") -> Evidence:
    return Evidence("metrics", strength, cause, f"{detector} of {column}", detector=detector, column=column)  # type: ignore[arg-type]


OOM = Evidence("events", "proof", "out-of-memory", "out of memory in step 9")
LOSS, DRIFT = alarm("explosion", "loss_rel"), alarm("drift", "loss_rel")
NORM, LIMIT = alarm("explosion", "grad_norm"), alarm("gradient-limit", "grad_norm", strength="weak")
RULE = alarm("loss-threshold", "loss_rel", "divergence")
LEAK = alarm("leak", "rss_mb", "leak", "weak")
NEAR = Evidence("process", "strong", "leak", "the process holds 950 MB of at most 1,000 MB")
LINE = Evidence("logs", "strong", "out-of-memory", "CUDA out of memory")
HANG = Evidence("process", "strong", "hang", "no sign of life for 900 s in section step")


def look(*signs: Evidence, state: ProcessState = "running", **changes: Any) -> Look:
    """A look that sees these signs."""
    hypotheses = tuple(judge.ranked(signs))
    made = Look(
        now=NOW, sees=True, blind="", process=replace(RUNNING, state=state),
        diagnosis=Diagnosis(not hypotheses, hypotheses), active=(), findings=(), generation=4, step=500,
        evaluations=3, config="c1",
    )  # fmt: skip
    return replace(made, **changes)


def act(**changes: Any) -> Act:
    """A rollback for oom, done ten minutes ago."""
    made = Act("a1", NOW - 610, "auto", "oom", "oom/out-of-memory/events", 3, 500, "c1", operation="op1",
               ended=NOW - 600, restarted=4, outcome="restored", answer="x")  # fmt: skip
    return replace(made, **changes)


def stood(seen: int, symptom: str = "divergence") -> Memory:
    return Memory(standing={symptom: Standing(4, 3, seen)}, generation=4, evaluations=3)


@pytest.mark.parametrize(
    ("signs", "memory", "kind"),
    [
        pytest.param((OOM,), Memory(), "act", id="a fatal event"),
        pytest.param((), Memory(), "idle", id="nothing"),
        pytest.param((LOSS,), Memory(), "propose", id="one signal"),
        pytest.param((LOSS,), stood(1), "propose", id="one signal on one evaluation"),
        pytest.param((LOSS,), stood(2), "act", id="one signal on two evaluations running"),
        pytest.param((LOSS, DRIFT), Memory(), "propose", id="one column: the same noise"),
        pytest.param((LOSS, RULE), Memory(), "propose", id="one column, a rule of the runbook"),
        pytest.param((LOSS, NORM), Memory(), "propose", id="one detector: the same step"),
        pytest.param((DRIFT, NORM), Memory(), "act", id="two columns, two detectors"),
        pytest.param((DRIFT, LIMIT), Memory(), "act", id="a strong and a weak one"),
        pytest.param((RULE, NORM), Memory(), "act", id="two causes of one symptom"),
        pytest.param((LIMIT,), stood(5), "hold", id="a weak signal never alone"),
        pytest.param((LEAK,), stood(9, "memory-leak"), "hold", id="the leak detector never alone"),
        pytest.param((LEAK, NEAR), Memory(), "act", id="a leak, and the process near its limit"),
        pytest.param((LOSS, LEAK), Memory(), "propose", id="signals of two symptoms are no pair"),
        pytest.param((LINE, DRIFT), Memory(), "propose", id="two sources, but two symptoms"),
        pytest.param((HANG,), stood(9), "propose", id="no symptom of the runbook"),
    ],
)
def test_what_is_enough_to_act(signs: tuple[Evidence, ...], memory: Memory, kind: str) -> None:
    decision = policy.decide(BOOK, look(*signs), memory, Past())
    assert decision.kind == kind, decision


def test_a_spike_is_no_signal() -> None:
    spike = alarm("spike", "loss_rel")  # a note in the diagnosis; even if it were strong
    assert signals_of(BOOK, look(spike).diagnosis) == ()
    assert policy.decide(BOOK, look(spike, DRIFT), Memory(), Past()).kind == "propose"


def test_independence_is_symmetric() -> None:
    signs = [OOM, LOSS, DRIFT, NORM, LIMIT, RULE, LEAK, NEAR, LINE]
    for one in signs:
        assert not independent(one, one)
        assert all(independent(one, other) == independent(other, one) for other in signs)
    assert not independent(alarm("a", ""), alarm("b", "")), "a column that is not known is no other column"


@pytest.mark.parametrize("state", ["never started", "starting", "stopping", "stopped", "finished", "elsewhere"])
def test_a_trainer_that_is_left_alone(state: ProcessState) -> None:
    assert policy.decide(BOOK, look(OOM, state=state), Memory(), Past()).kind == "idle"


def test_a_blind_look_neither_acts_nor_resets() -> None:
    blind = look(OOM, sees=False, blind="the metrics are old", evaluations=4)
    assert policy.decide(BOOK, blind, stood(2), Past()).kind == "idle"
    assert standing.after(stood(1), blind, ()).to_json() == stood(1).to_json()


def test_two_evaluations_running() -> None:
    memory, kinds = Memory(), []
    looks = [look(LOSS, evaluations=3), look(LOSS, evaluations=3), look(LOSS, evaluations=4),
             look(LOSS, evaluations=4), look(sees=False, evaluations=5), look(LOSS, evaluations=5)]  # fmt: skip
    for seen in looks:
        memory = standing.after(memory, seen, signals_of(BOOK, seen.diagnosis) if seen.sees else ())
        kinds.append(policy.decide(BOOK, seen, memory, Past()).kind)
    assert kinds == ["propose", "propose", "propose", "propose", "idle", "act"]


@pytest.mark.parametrize(
    ("between", "counted"),
    [
        pytest.param(look(evaluations=4), 1, id="it was gone in between"),
        pytest.param(look(LOSS, evaluations=1, generation=5), 0, id="another trainer"),
        pytest.param(look(LOSS, evaluations=9), 2, id="evaluations that nobody saw count as one"),
    ],
)
def test_what_breaks_a_row_of_evaluations(between: Look, counted: int) -> None:
    memory = standing.after(stood(1), between, signals_of(BOOK, between.diagnosis))
    later = replace(between, evaluations=between.evaluations, diagnosis=look(LOSS).diagnosis)
    memory = standing.after(memory, later, signals_of(BOOK, later.diagnosis))
    seen = memory.standing["divergence"].seen
    assert seen == counted if between.diagnosis.hypotheses else seen == 0


@pytest.mark.parametrize(
    ("memory", "known", "changes", "kind", "words"),
    [
        pytest.param(Memory((act(),)), Past(), {}, "act", "", id="long enough ago"),
        pytest.param(Memory((act(ended=NOW - 20),)), Past(), {}, "hold", "20 s ago", id="cool-down"),
        pytest.param(Memory((act(ended=NOW + 90),)), Past(), {}, "hold", "0 s ago", id="a clock that was set back"),
        pytest.param(Memory((act(id="1"), act(id="2"), act(id="3"))), Past(), {}, "page", "3 rollbacks", id="budget"),
        pytest.param(
            Memory((act(id="1"), act(id="2"), act(id="3"))), Past(since=NOW - 300), {}, "act", "", id="a new run"
        ),
        pytest.param(
            Memory((act(id="1"), act(id="2"), act(id="3", outcome="forgotten"))), Past(), {}, "act", "",
            id="what was never begun is free",
        ),
        pytest.param(
            Memory((act(id="1"), act(id="2"), act(id="3", outcome="put back"))), Past(), {}, "page", "",
            id="what was begun and put back is not",
        ),
        pytest.param(
            Memory((act(id="1", mode="shadow", outcome="shadow"),) * 3), Past(), {}, "act", "", id="a shadow used none"
        ),
        pytest.param(Memory(stopped=Stopped(NOW, "no remedy")), Past(), {}, "hold", "no remedy", id="a person was called"),
        pytest.param(
            Memory((act(),)), Past(undone=frozenset({"op1"})), {}, "page", "undid this rollback (op1)", id="undone"
        ),
        pytest.param(
            Memory((act(),)), Past(undone=frozenset({"op1"})), {"config": "c2"}, "act", "", id="undone, other settings"
        ),
        pytest.param(
            Memory((act(symptom="divergence"),)), Past(undone=frozenset({"op1"})), {}, "act", "", id="another symptom"
        ),
    ],
)  # fmt: skip
def test_limits(memory: Memory, known: Past, changes: dict[str, Any], kind: str, words: str) -> None:
    decision = policy.decide(BOOK, look(OOM, state="died", **changes), memory, known)
    assert decision.kind == kind and words in decision.why, decision


def test_the_same_answer_is_given_once_without_progress() -> None:
    acts = (act(step=500, answer="x"), act(id="2", step=300, answer="y"))
    same = {
        (step, answer): bool(policy.repeated(acts, "oom", step, answer))
        for step in (299, 300, 301, 500, 501)
        for answer in ("x", "y", "z")
    }
    assert [key for key, value in same.items() if value] == [
        (299, "x"), (299, "y"), (300, "x"), (300, "y"), (301, "x"), (500, "x"),
    ]  # fmt: skip
    assert not policy.repeated(acts, "divergence", 1, "x")
    assert not policy.repeated((act(outcome="forgotten"),), "oom", 1, "x")


def entry(operation: str, minutes_ago: int, command: str = "rollback", **more: Any) -> dict[str, Any]:
    from datetime import UTC, datetime

    ended = datetime.fromtimestamp(NOW - 60 * minutes_ago, UTC).isoformat(timespec="seconds")
    return {"operation": operation, "command": command, "ended": ended, "outcome": "done", "exit_code": 0, **more}


FILES = [{"path": "configs/a.yaml"}]
OURS = entry("op1", 50, files=FILES, about={"watch": "a1", "symptom": "oom"}, generation=4)


@pytest.mark.parametrize(
    ("entries", "since_minutes", "undone"),
    [
        pytest.param([OURS], None, set(), id="its own rollback begins no run"),
        pytest.param([OURS, entry("p", 40, "trainer start", generation=5)], None, set(), id="a supervisor's start"),
        pytest.param([OURS, entry("p", 40, "trainer restart", generation=5)], 40, set(), id="a restart by hand"),
        pytest.param([OURS, entry("p", 40, "config set", files=FILES)], 40, set(), id="a change by hand"),
        pytest.param(
            [OURS, entry("p", 40, "config set", files=FILES, outcome="put back")], None, set(), id="put back"
        ),
        pytest.param([OURS, entry("p", 40, "undo", files=FILES, about={"undo_of": "op1"})], 40, {"op1"}, id="undone"),
        pytest.param(
            [OURS, entry("p", 40, "undo", files=FILES, about={"undo_of": "other"})], 40, set(), id="another was undone"
        ),
        pytest.param(
            [OURS, entry("p", 40, "undo", files=[], outcome="put back", about={"undo_of": "op1"})], None, set(),
            id="an undo that failed",
        ),
    ],
)  # fmt: skip
def test_what_the_history_says(entries: list[dict[str, Any]], since_minutes: int | None, undone: set[str]) -> None:
    known = past.past_of(entries, Memory(), NOW)
    assert known.undone == undone
    assert known.since == (0.0 if since_minutes is None else NOW - 60 * since_minutes)
    assert past.past_of(entries, Memory(reset=NOW), NOW).since == NOW


def test_times_of_a_wrong_clock_begin_no_run() -> None:
    """A run that begins in the future has every act before it: the budget would never end, and no page would last."""
    ahead = entry("p", -60 * 24 * 365, "config set", files=FILES)
    assert past.past_of([OURS, ahead], Memory(reset=NOW + 9999), NOW).since == 0.0
    assert past.past_of([entry("p", 90, "config set", files=FILES), ahead], Memory(), NOW).since == NOW - 90 * 60


@pytest.mark.parametrize(
    ("entries", "outcome", "operation", "restarted"),
    [
        pytest.param([], "forgotten", "", 0, id="never begun"),
        pytest.param([OURS], "", "op1", 4, id="done"),
        pytest.param([{**OURS, "exit_code": 1}], "failed", "op1", 4, id="the trainer did not come up"),
        pytest.param(
            [{**OURS, "outcome": "put back by recovery", "exit_code": 4}], "put back", "op1", 4, id="reversed"
        ),
        pytest.param(
            [{**OURS, "outcome": "done, finished by recovery", "generation": 0}], "", "op1", 5, id="finished later"
        ),
    ],
)  # fmt: skip
def test_an_act_is_settled_by_its_operation(
    entries: list[dict[str, Any]], outcome: str, operation: str, restarted: int
) -> None:
    decided = act(operation="", ended=0.0, restarted=0, outcome="")
    assert decided.is_open
    after = past.settled(decided, entries, NOW, 5)
    assert (after.outcome, after.operation) == (outcome, operation) and not after.is_open
    assert after.restarted == restarted


@pytest.mark.parametrize(
    ("seen", "detector", "outcome"),
    [
        pytest.param(look(step=399), "", "", id="not yet"),
        pytest.param(look(step=400), "", "restored", id="enough steps"),
        pytest.param(look(step=400), "leak", "", id="a leak takes longer to be seen"),
        pytest.param(look(step=700), "leak", "restored", id="a leak, twice the steps"),
        pytest.param(look(step=400, diagnosis=Diagnosis(False, unknown=("?",))), "", "", id="not known to be healthy"),
        pytest.param(look(LINE, step=120), "", "not restored", id="the symptom is back"),
        pytest.param(look(LIMIT, step=400), "", "", id="a weak sign is none of that"),
        pytest.param(look(state="died", step=120), "", "not restored", id="it died"),
        pytest.param(look(step=400, generation=5), "", "inconclusive", id="another trainer was started"),
        pytest.param(look(step=400, generation=3), "", "", id="the look is older"),
        pytest.param(look(step=399, now=NOW + 901), "", "inconclusive", id="the time is up"),
        pytest.param(look(step=999, sees=False, now=NOW + 999), "", "", id="blind"),
    ],
)
def test_what_became_of_the_trainer(seen: Look, detector: Any, outcome: str) -> None:
    rules = Acting(healthy_steps=300, within_s=900)
    done = act(restarted=4, from_step=100, ended=NOW, outcome="")
    signals = signals_of(BOOK, seen.diagnosis)
    assert afterwards.outcome_of(rules, detector, done, seen, signals) == outcome


def test_memory_as_json_and_back() -> None:
    memory = Memory((act(evidence=("x",)), act(id="2")), {"oom": Standing(4, 3, 1)}, 4, 3, Stopped(NOW, "y"), NOW)
    body = memory.to_json()
    assert Memory.from_json(body).to_json() == body
    for name, wrong in (("acts", [{}]), ("stopped", {"at": "x", "why": "y"}), ("reset", None), ("evaluations", True)):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Memory.from_json({**body, name: wrong})
    with pytest.raises(ValueError):
        Memory.from_json({**body, "acts": [{**body["acts"][0], "mode": "propose"}]})
