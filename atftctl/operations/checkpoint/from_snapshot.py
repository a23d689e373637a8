"""What `resume: snapshot` goes back to: the models of the newest verified-good snapshot."""

from __future__ import annotations

from collections.abc import Collection

from atftctl.decide.plans import by_checkpoint, by_snapshot
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.whole_units import further_targets, units_of
from atftctl.domain.checkpoint import Checkpoints
from atftctl.domain.errors import NothingLeft
from atftctl.domain.facts import Facts
from atftctl.domain.resuming import Resuming
from atftctl.domain.runbook import Resume
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.units import held_by
from atftctl.host.files.fingerprint import digest_of
from atftctl.observe.checkpoints.ladder import ladder
from atftctl.observe.snapshots import catalog
from atftctl.operations.change.snapshot_inputs import present_in
from atftctl.operations.project import Project
from atftctl.protocol.messages import tr
from atftctl.state import verified
from atftctl.state.layout import Layout


def models_of_snapshot(project: Project, facts: Facts, policy: RestartPolicy, tried: Collection[str]) -> Resuming:
    """Return the models of the newest verified-good snapshot, and which of them the trainer resumes from. `tried`: the
    copies that were resumed from already. Raises Refused where a running trainer would overwrite them, and where there
    is no such snapshot."""
    layout, rules = project.layout, project.runbook.checkpoints
    by_checkpoint.refuse_running(facts, policy, rules.last)
    left = tuple(known for known in facts.snapshots if not _was_tried(known, rules, tried))
    snapshot = catalog.last_good(layout, left)
    if snapshot is None:
        raise NothingLeft(
            tr("there is no undamaged verified-good snapshot whose models could be resumed from"),
            hint=tr("choose a snapshot: atftctl backup list, then atftctl rollback --to ID"),
        )
    resume, path = _resumes_from(layout, snapshot, rules)
    models = by_snapshot.models_of(project.runbook, snapshot)
    present: dict[str, str | None] = {}
    if not facts.process.may_save:  # a trainer that is stopped saves once more, and what is there now is gone then
        present = {name: digest_of(layout.place(name)) for name in models if snapshot.file(name)}
    saves = ladder(layout, rules, hashed=False).saves
    digest = snapshot.digests().get(path)
    step = next((save.step for save in reversed(saves) if save.sha256 == digest), None)
    copy = f"{snapshot.folder}/{path}"
    note = tr(
        "the trainer resumes from {path}, of the verified-good snapshot {snapshot}",
        path=copy,
        snapshot=snapshot.id,
    )
    units = units_of(project.runbook, snapshot, models, everything=True)
    further = further_targets(units, present_in(project, units))
    targets = (*by_snapshot.model_targets(project.runbook, snapshot, present), *further)
    return Resuming(resume, targets, copy, step, "quality", (note,), units)


def _was_tried(snapshot: Snapshot, rules: Checkpoints, tried: Collection[str]) -> bool:
    return any(f"{snapshot.folder}/{path}" in tried for path in (rules.last, rules.best))


def _resumes_from(layout: Layout, snapshot: Snapshot, rules: Checkpoints) -> tuple[Resume, str]:
    """What the trainer is told to resume from, and the path of that model: the one that `verify` has evaluated, which
    is the best one where that is not known. Raises NothingLeft where the snapshot holds none of them."""
    held = snapshot.digests()
    evaluated = {path for checked, _ in verified.passes(layout) if checked.items() <= held.items() for path in checked}
    names: dict[str, Resume] = {rules.last: "last", rules.best: "best"}
    known = [path for path in names if any(held_by(path, file) for file in evaluated & held.keys())]
    places = (*known, rules.best, rules.last)
    path = next((path for path in places if any(held_by(path, file) for file in held)), None)
    if path is not None:
        return names[path], path
    raise NothingLeft(
        tr(
            "the verified-good snapshot {snapshot} holds neither {last} nor {best}",
            snapshot=snapshot.id,
            last=rules.last,
            best=rules.best,
        ),
        hint=tr("choose a snapshot: atftctl backup list, then atftctl rollback --to ID"),
    )
