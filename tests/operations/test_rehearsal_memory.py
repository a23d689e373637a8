"""Where free memory is too small, nothing is started: a rehearsal must not starve the trainer in service."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atftctl.domain.errors import Inconclusive, Refused
from atftctl.domain.facts import Process
from atftctl.domain.plan import Plan
from atftctl.domain.steps import ChangeFiles, Target
from atftctl.observe.trainer_run import rehearsing
from atftctl.operations.change import rehearsal
from atftctl.operations.change.preview import Rendered
from atftctl.operations.project import open_project
from atftctl.operations.request import RehearseFirst
from tests.support.projects import Project

PLAN = Plan("rollback", "a title")


def test_too_little_memory_beside_a_running_trainer(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, rendered = open_project(project.root), Rendered({}, (), "")
    running = Process(state="running", pid=77, memory_mb=800.0)
    asked: list[rehearsing.RehearseRequest] = []

    def rehearse(layout: object, runbook: object, request: rehearsing.RehearseRequest) -> dict[str, object]:
        asked.append(request)
        return {}

    monkeypatch.setattr(rehearsing, "rehearse", rehearse)
    monkeypatch.setattr(rehearsal, "available_mb", lambda: 1700)
    with pytest.raises(
        Refused, match=r"beside the running trainer \(pid 77\): two trainings need about 1,600 MB, 1,530"
    ):
        rehearsal.rehearsed(opened, running, PLAN, rendered, RehearseFirst(60))
    assert not asked, "no process was started"
    forced = rehearsal.rehearsed(opened, running, PLAN, rendered, RehearseFirst(60, "we know"))
    assert not asked and forced.facts["forced"] == "we know"

    monkeypatch.setattr(rehearsal, "available_mb", lambda: 1800)
    with pytest.raises(Refused, match="the probe did not say"):
        rehearsal.rehearsed(opened, running, PLAN, rendered, RehearseFirst(60))
    assert asked[0].memory_mb == 1620, "all processes together may take nine tenths of what is free"
    with pytest.raises(Refused):
        rehearsal.rehearsed(opened, replace(running, state="died"), PLAN, rendered, RehearseFirst(60))
    assert len(asked) == 2, "a trainer that has died needs no memory"


def test_files_that_the_rehearsal_does_not_use_are_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(PLAN, steps=(ChangeFiles((Target("code.py", "a", snapshot="s", new="b"),)),))
    monkeypatch.setattr(rehearsal, "available_mb", lambda: 1)
    made = rehearsal.rehearsed(
        open_project(project.root), Process(), plan, Rendered({}, (), ""), RehearseFirst(60, "we know")
    )
    assert made.notes == ("not part of the rehearsal: code.py",)


def test_a_checkpoint_that_was_removed_meanwhile_is_not_replaced_by_another_one(project: Project) -> None:
    opened = open_project(project.root)
    gone = project.root / "models/history/step-00000050-g1.pth"
    request = rehearsing.RehearseRequest((b"{}",), (b"{}",), 2, "last", {"models/last.pth": gone})
    with pytest.raises(Inconclusive, match="step-00000050-g1.pth was removed or replaced meanwhile"):
        rehearsing.rehearse(opened.layout, opened.runbook, request)
