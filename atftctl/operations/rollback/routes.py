"""`rollback`: by settings (the guide's five-minute way, by symptom, by feature) and by snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from atftctl.decide.plans import by_settings
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.symptoms import find_symptom
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.text import nearest
from atftctl.observe.snapshots import catalog
from atftctl.operations.change.change import Change
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.operations.rollback.auto_undo import carry_out_or_undo


def by_symptom(project: Project, word: str, wish: RestartPolicy, request: Request) -> Result:
    name, _ = find_symptom(project.runbook, word)
    return _change(
        project,
        lambda facts: by_settings.rollback_symptom(project.runbook, facts, name, wish, project.language),
        wish,
        request,
    )


def immediate(project: Project, wish: RestartPolicy, request: Request) -> Result:
    return _change(project, lambda facts: by_settings.rollback_immediate(project.runbook, facts, wish), wish, request)


def by_feature(project: Project, names: Sequence[str], wish: RestartPolicy, request: Request) -> Result:
    known = project.runbook.features
    for name in names:
        if name not in known:
            raise UsageError(f"no feature {name!r}", hint=nearest(name, known))
    names = tuple(dict.fromkeys(names))
    return _change(
        project, lambda facts: by_settings.rollback_features(project.runbook, facts, names, wish), wish, request
    )


def to_snapshot(project: Project, word: str, wish: RestartPolicy, request: Request) -> Result:
    """All files of a snapshot, as a unit."""
    from atftctl.decide.plans import by_snapshot

    layout = project.layout
    try:
        snapshot = catalog.find(layout, catalog.list_snapshots(layout), word)
    except (Refused, UsageError) as error:
        if word == "last-good":
            error.hint = "another way back: rollback --symptom NAME, --immediate, --to ID; atftctl runbook show"
        raise
    change = Change(
        lambda facts: by_snapshot.restore(project.runbook, facts, snapshot, snapshot.files, wish, command="rollback"),
        digests_of=tuple(file.path for file in snapshot.files),
    )
    return carry_out_or_undo(project, change, wish, request)


def _change(project: Project, decide: Callable[[Facts], Plan], wish: RestartPolicy, request: Request) -> Result:
    return carry_out_or_undo(project, Change(decide), wish, request)
