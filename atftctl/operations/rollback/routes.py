"""`rollback` by settings (of a symptom, of all improvements, of single ones) and by snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.decide.plans import by_settings
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.symptoms import find_symptom
from atftctl.domain import missing_parts
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.result import Result
from atftctl.domain.text import nearest
from atftctl.observe.snapshots import catalog
from atftctl.operations.change.change import Change
from atftctl.operations.checkpoint.choose import Wanted
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.operations.rollback import remedy, rungs
from atftctl.operations.rollback.added import added_settings, restored_configs
from atftctl.operations.rollback.auto_undo import carry_out_or_undo
from atftctl.protocol.messages import tr


def by_symptom(
    project: Project,
    symptom: str,
    policy: RestartPolicy,
    request: Request,
    extra: Sequence[str] = (),
    *,
    back: int = 0,
) -> Result:
    """Set the settings that the runbook names for a symptom. `symptom`: its name, alias or title. `extra`: further
    settings, as KEY=VALUE. `back`: also go back so many checkpoints. Raises UsageError for an unknown symptom, and as
    `carry_out`."""
    name, _ = find_symptom(project.runbook, symptom)
    change = remedy.change_for(project, name, policy, request, back, added_settings(extra))
    return carry_out_or_undo(project, change, policy, request)


def immediate(
    project: Project, policy: RestartPolicy, request: Request, extra: Sequence[str] = (), *, back: int = 0
) -> Result:
    """Turn all improvements off, and set the training settings to their defaults. `extra`, `back`: as for a symptom.
    Raises as `carry_out`."""
    runbook, added = project.runbook, added_settings(extra)
    if not (runbook.immediate.settings or added):
        raise missing_parts.features(runbook)
    wanted = Wanted(runbook.immediate.resume, runbook.immediate.resume_grade, back)
    change = rungs.change(
        project,
        wanted,
        policy,
        request,
        lambda facts, chosen: by_settings.rollback_immediate(runbook, facts, policy, chosen, added=added),
    )
    return carry_out_or_undo(project, change, policy, request)


def by_feature(
    project: Project,
    names: Sequence[str],
    policy: RestartPolicy,
    request: Request,
    extra: Sequence[str] = (),
    *,
    back: int = 0,
) -> Result:
    """Turn these improvements off. `extra`, `back`: as for a symptom. Raises UsageError for an unknown name, and as
    `carry_out`."""
    known = project.runbook.features
    if not known:
        raise missing_parts.features(project.runbook)
    for name in names:
        if name not in known:
            raise UsageError(tr("unknown feature {name!r}", name=name), hint=nearest(name, known))
    names = tuple(dict.fromkeys(names))
    runbook, added = project.runbook, added_settings(extra)
    change = rungs.change(
        project,
        Wanted("last", back=back),
        policy,
        request,
        lambda facts, chosen: by_settings.rollback_features(runbook, facts, names, policy, chosen, added=added),
    )
    return carry_out_or_undo(project, change, policy, request)


def to_snapshot(
    project: Project, name: str, policy: RestartPolicy, request: Request, extra: Sequence[str] = ()
) -> Result:
    """Restore all files of a snapshot as a unit. Raises Refused for an unknown snapshot, and as `carry_out`."""
    from atftctl.decide.plans import by_snapshot
    from atftctl.decide.plans.whole_units import units_of
    from atftctl.operations.change.snapshot_inputs import present_in

    layout = project.layout
    try:
        snapshot = catalog.find(layout, catalog.list_snapshots(layout), name)
    except (Refused, UsageError) as error:
        if name == "last-good":
            error.hint = tr(
                "choose another route: rollback --symptom NAME, --immediate or --to ID; atftctl runbook show lists them"
            )
            if not project.runbook.symptoms:
                error.hint = tr("choose a snapshot by its id: atftctl backup list, then atftctl rollback --to ID")
        raise
    runbook, added = project.runbook, added_settings(extra)
    restored = restored_configs(layout, snapshot, runbook.files) if added else None
    paths = tuple(file.path for file in snapshot.files)
    units = units_of(runbook, snapshot, paths, everything=True)
    change = Change(
        lambda facts: by_snapshot.restore(
            runbook,
            facts,
            snapshot,
            snapshot.files,
            policy,
            command="rollback",
            added=added,
            restored=restored,
            units=units,
            present=present_in(project, units),
        ),
        digests_of=paths,
    )
    return carry_out_or_undo(project, change, policy, request)
