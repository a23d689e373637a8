"""The record of a phase: it is written last, and a verdict that can't be recorded is no refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.checkpoint import Checkpoints
from atftctl.domain.errors import InterventionNeeded
from atftctl.domain.reenabling import PhaseRecord, Reenabling, contents_of
from atftctl.domain.verdict import Check, Verdict
from atftctl.host import locks
from atftctl.host.process import owner
from atftctl.operations.project import open_project
from atftctl.operations.reenable import gate_checks, outcome
from atftctl.operations.reenable import run as run_module
from atftctl.operations.reenable.run import PhaseRun
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.state import history
from atftctl.state import reenable as store

PLAN = "after-incident"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def watched(root: Path) -> PhaseRun:
    """Phase 1, whose settings were in place before, is watched by this process."""
    project = open_project(root)
    contents = contents_of(project.runbook.plans[PLAN])
    phase = PhaseRecord(1, "watching", "2026-01-01T00:00:00+00:00", "me@here")
    state = Reenabling(PLAN, contents, phase.began, (phase,), owner.own_name())
    project.layout.state.mkdir(exist_ok=True)
    store.write(project.layout, state)
    return PhaseRun(project, state, 1, RestartPolicy(), Request())


@pytest.mark.parametrize(
    "wrong", [{"view": {"models": []}}, {"view": []}, {"view": {}}, {"evidence": {}}, {"number": True}, {"note": 5}]
)
def test_a_record_of_another_shape_is_refused(wrong: dict[str, Any]) -> None:
    state = Reenabling(PLAN, (), "x", (PhaseRecord(1, "watching", "2026-01-01T00:00:00+00:00", "me@here"),))
    body = json.loads(json.dumps(state.to_json()["phases"][0]))
    assert PhaseRecord.from_json(body) == state.phases[0]
    with pytest.raises((KeyError, TypeError, ValueError)):
        PhaseRecord.from_json({**body, **wrong})


def doing(run: PhaseRun) -> str:
    state = store.read(run.layout)
    assert state and state.open
    return state.open.doing


@pytest.mark.parametrize(
    ("verdict", "left"), [(Verdict.PASS, "watching"), (Verdict.INCONCLUSIVE, "watching"), (Verdict.FAIL, "undoing")]
)
def test_killed_before_the_history_has_the_verdict(
    watched: PhaseRun, verdict: Verdict, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> NoReturn:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(history, "append", killed)
        with pytest.raises(Killed):
            outcome.conclude(watched, (Check("steps", verdict, "seen"),))
    assert doing(watched) == left, "so that resume brings it to its end"
    outcome.undo(watched, ()) if left == "undoing" else outcome.conclude(watched, (Check("steps", verdict, "seen"),))
    assert len([entry for entry in history.read(watched.layout) if entry["command"] == "reenable"]) == 1


@contextmanager
def busy(run: PhaseRun) -> Iterator[None]:
    with locks.exclusive(run.layout.lock, command="backup", reason=""):
        yield


def test_a_verdict_that_cannot_be_recorded_needs_somebody(watched: PhaseRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "LOCK_S", 0.1)
    with busy(watched), pytest.raises(InterventionNeeded) as caught:
        outcome.conclude(watched, (Check("steps", Verdict.FAIL, "seen"),))
    assert caught.value.exit_code is Exit.STOPPED and "atftctl resume" in caught.value.hint
    assert doing(watched) == "watching"


@pytest.mark.parametrize("last", ["out/step-*.pt", "out/step-2.pt", "out/step-*/"])
def test_the_checkpoint_that_a_gate_waits_for_is_the_one_of_the_runbook(
    watched: PhaseRun, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Until it is written whole, also where a trainer of any kind writes it in place."""
    book = replace(watched.project.runbook, checkpoints=Checkpoints(last=last.rstrip("/")))
    watched.project = replace(watched.project, runbook=book)
    out, looks = watched.layout.root / "out", list[int]()
    new = out / "step-2" / "model.pt" if last.endswith("/") else out / "step-2.pt"
    (out / "step-1").mkdir(parents=True)
    (out / "step-1.pt").write_bytes(b"1")

    def write(seconds: float) -> None:
        looks.append(1)
        assert len(looks) < 6, "it is not seen"
        if len(looks) in (2, 3):
            new.parent.mkdir(exist_ok=True)
            with new.open("ab") as file:
                file.write(b"half")

    monkeypatch.setattr(gate_checks.time, "sleep", write)
    monkeypatch.setattr(gate_checks, "_alive", lambda run: True)
    gate_checks._await_checkpoint(watched)
    assert new.read_bytes() == b"halfhalf" and len(looks) == 4
