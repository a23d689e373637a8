"""Golden tests of deciding: a case holds facts and a request, and the steps or the refusal that are expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from atftctl.decide.plans import by_settings, by_snapshot, phases
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.phases import PhaseOrder
from atftctl.domain.errors import AtftError
from atftctl.domain.facts import ConfigFile, Facts, OpenOperation, Process, UnmanagedTrainer
from atftctl.domain.plan import Plan
from atftctl.domain.reenabling import PhaseRecord, Reenabling, contents_of
from atftctl.domain.runbook import Runbook
from atftctl.domain.snapshot import Snapshot, SnapshotFile
from atftctl.observe.runbook import load as observed
from atftctl.observe.runbook import locate
from tests.support.projects import CONFIG, ROOT, TRAINING

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
BOOK = observed.load(locate.find_project(ROOT)).runbook


def facts_of(case: dict[str, Any]) -> Facts:
    said = case.get("facts", {})
    configs = {}
    for path in (CONFIG, TRAINING):
        data = yaml.safe_load((ROOT / path).read_text())
        for key, value in said.get("settings", {}).items():
            section, name = key.split(".")
            if section in data:
                data[section][name] = value
        configs[path] = ConfigFile(path, "stands", data, error=said.get("broken", {}).get(path, ""))
    process = said.get("process", {})
    unmanaged = tuple(UnmanagedTrainer(**one) for one in process.pop("unmanaged", ()))
    snapshots = tuple(
        Snapshot(
            one["id"],
            one["id"],
            "",
            "",
            tuple(SnapshotFile(p, d, 1, 0o644) for p, d in one["files"].items()),
            folder=f"backups/{one['id']}",
        )
        for one in said.get("snapshots", ())
    )
    opened = said.get("open")
    return Facts(
        configs=configs,
        process=Process(**process, unmanaged=unmanaged),
        snapshots=snapshots,
        open_operation=OpenOperation(**opened) if opened else None,
        digests=said.get("digests", {}),
    )


def phase_order(book: Runbook, request: dict[str, Any]) -> PhaseOrder:
    """`progress`: how each phase stands by its record. `edited`: settings of phase 1 when it began."""
    plan, progress = request.get("plan", "after-incident"), request.get("progress", {})
    contents = contents_of(book.plans[plan])
    if "edited" in request:
        contents = ({**contents[0], "settings": request["edited"]}, *contents[1:])
    records = tuple(PhaseRecord(number, doing, "then", "ada", note="why") for number, doing in progress.items())
    state = Reenabling(plan, contents, "then", records) if progress else None
    return PhaseOrder(plan, request["phase"], state, request.get("force", ""))


def decide(book: Runbook, facts: Facts, request: dict[str, Any]) -> Plan:
    policy = RestartPolicy(restart=request.get("restart", True), adopt=tuple(request.get("adopt", ())))
    if "symptom" in request:
        return by_settings.rollback_symptom(book, facts, request["symptom"], policy, "en")
    if "phase" in request:
        return phases.reenable(book, facts, phase_order(book, request), policy, "en")
    if "restore" in request:
        snapshot = next(one for one in facts.snapshots if one.id == request["restore"])
        chosen = by_snapshot.chosen_files(book, snapshot, tuple(request.get("paths", ())), request.get("only", ""))
        return by_snapshot.restore(book, facts, snapshot, chosen, policy)
    if "undo" in request:
        return by_snapshot.undo(book, facts, request["undo"], policy)
    return by_settings.rollback_immediate(book, facts, policy)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    for case in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        facts = facts_of(case)
        if "refused" in case:
            with pytest.raises(AtftError) as caught:
                decide(BOOK, facts, case["request"])
            words = f"{caught.value.message} | {caught.value.hint}"
            assert case["refused"] in words, (case["name"], words)
            continue
        plan = decide(BOOK, facts, case["request"])
        assert [type(step).__name__ for step in plan.steps] == case["steps"], case["name"]
        if "changes" in case:
            assert [change.describe() for change in plan.changes] == case["changes"], case["name"]
        if "resume" in case:
            assert plan.start is not None and plan.start.resume == case["resume"], case["name"]
        for note in case.get("notes", ()):
            assert any(note in one for one in plan.notes), (case["name"], plan.notes)


def test_there_are_cases() -> None:
    assert len(CASES) >= 4
