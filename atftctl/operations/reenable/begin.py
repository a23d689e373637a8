"""Begin a phase: check that it may begin, change its settings, restart the trainer, and say what its gate is to
judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from atftctl.decide.plans.phases import PhaseOrder
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.reenabling import PhaseRecord, Reenabling, View, contents_of
from atftctl.domain.runbook import Runbook
from atftctl.domain.units import holds
from atftctl.host import locks
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.fingerprint import sha256_file
from atftctl.host.process import owner
from atftctl.observe.configs import digest
from atftctl.observe.snapshots import catalog
from atftctl.observe.snapshots.sources import present_files
from atftctl.observe.trainer_run import phase_window
from atftctl.operations.project import Project, now
from atftctl.protocol.messages import tr
from atftctl.state import history
from atftctl.state import reenable as store
from atftctl.state import staged as staged_state
from atftctl.state.layout import Layout

KEPT = ("changing", "watching", "held")  # a phase in this state that is begun again keeps its operation, for `undo`


def refuse_begin(layout: Layout) -> None:
    """Raises Refused where no phase may begin or go on now: a staged rollback is open, another process carries a phase
    out, or the phases are halted."""
    if staged := staged_state.read(layout):
        raise Refused(
            staged.summary, hint=tr("to continue this rollback: atftctl resume; to abandon it: atftctl resume --drop")
        )
    refuse_running(store.read(layout))
    if halt := store.read_halt(layout):
        raise Refused(tr("the phases are {halt}", halt=halt.summary), hint=tr("to lift the halt: atftctl resume"))


def refuse_running(state: Reenabling | None) -> None:
    """Raises Refused while another process carries a phase out."""
    phase = state.open if state else None
    if state and phase and state.maker != owner.own_name() and store.is_running(state):
        raise Refused(
            tr(
                "{operator} is carrying out phase {number} of {plan} (pid {pid})",
                operator=phase.operator,
                number=phase.number,
                plan=state.plan,
                pid=state.pid,
            ),
            hint=tr("wait until it has ended, or stop it: atftctl reenable --halt"),
        )


def begun(runbook: Runbook, order: PhaseOrder, plan: Plan, maker: str) -> Reenabling:
    """The progress with this phase as the one that is being changed. An edited plan that was accepted takes the place
    of the old one; another plan begins anew. Raises Refused where another phase is half changed."""
    contents = contents_of(runbook.plans[order.plan])
    state = _without_open(order.progress, order) if order.progress else None
    if state is None or (order.number == 1 and state.contents != contents):
        state = Reenabling(order.plan, contents, _stamp())
    kept_phases = tuple(phase for phase in state.phases if phase.number <= len(contents))
    state = replace(state, contents=contents, phases=kept_phases)
    before = state.phase(order.number)
    kept = before if before and before.doing in KEPT and not plan.targets else None
    phase = PhaseRecord(
        order.number,
        "changing",
        _stamp(),
        locks.operator(),
        operation=kept.operation if kept else "",
        snapshot=kept.snapshot if kept else "",
        forced=order.forced,
    )
    return replace(state.having(phase), maker=maker)


def accept_edits(state: Reenabling, order: PhaseOrder, contents: tuple[dict[str, Any], ...]) -> Reenabling:
    """The progress with the plan as it is now, where --force accepted that it was edited."""
    phase = state.phase(order.number)
    if not order.forced or phase is None:
        return state
    return replace(state, contents=contents).having(replace(phase, forced=order.forced))


def _without_open(state: Reenabling, order: PhaseOrder) -> Reenabling:
    """The progress where no other phase is open. With --force, a phase that is held counts as accepted from now on."""
    other = state.open
    if other is None or other.number == order.number:
        return state
    if other.doing in ("changing", "undoing"):
        raise Refused(
            tr("phase {number} of {plan} is not finished", number=other.number, plan=state.plan),
            hint=tr("finish it first: atftctl resume"),
        )
    doing = "accepted" if other.number < order.number and order.forced else "void"
    note = tr("phase {number} was begun: {reason}", number=order.number, reason=order.forced)
    return state.having(replace(other, doing=doing, note=note, ended=_stamp()))  # type: ignore[arg-type]


def operation_of(layout: Layout, state: Reenabling, phase: PhaseRecord) -> tuple[str, str]:
    """(id, snapshot) of the operation that changed the settings of a phase, after a crash left it to recovery; ("", "")
    where there is none since the phase began: an earlier one may be undone by now."""
    for entry in reversed(history.read(layout)):
        about = entry.get("about") or {}
        mine = (about.get("phase"), about.get("plan")) == (str(phase.number), state.plan)
        if mine and entry.get("files") and _started_since(entry, phase.began):
            return str(entry["operation"]), str(entry.get("snapshot", ""))
    return "", ""


def _started_since(entry: Mapping[str, Any], began: str) -> bool:
    try:
        return datetime.fromisoformat(str(entry.get("started"))) >= datetime.fromisoformat(began)
    except (ValueError, TypeError):  # TypeError: one of the two has no time zone
        return False


def view_now(project: Project, facts: Facts, snapshot: str, *, with_models: bool) -> View:
    """What the gate is to judge from now on: the steps of the trainer that runs with the configs as they are."""
    view = phase_window.view_of(project.layout, facts.process, digest(facts.configs)) or View()
    return replace(view, models=models_of(project, snapshot) if with_models else {})


def view_after_crash(project: Project, facts: Facts, operation: str, snapshot: str, *, with_models: bool) -> View:
    """What the gate is to judge after a crash in the change: the steps of the run that this operation started. Where
    there is no operation, or no such run, only steps from now on: those before may be of other settings."""
    if not operation:
        return view_now(project, facts, "", with_models=with_models)
    run_id = phase_window.started_with(project.layout, facts.process, digest(facts.configs))
    return view_of_run(project, run_id, snapshot, with_models=with_models)


def view_of_run(project: Project, run_id: str, snapshot: str, *, with_models: bool) -> View:
    """What the gate is to judge: the steps of this run since its start."""
    view = phase_window.view_since_start(project.layout, run_id) or View()
    return replace(view, models=models_of(project, snapshot) if with_models else {})


def models_of(project: Project, snapshot: str) -> dict[str, str]:
    """SHA-256 of the model files in a snapshot; of those that are there now for ""."""
    names = project.runbook.files.models
    taken = next((known for known in catalog.list_snapshots(project.layout) if known.id == snapshot), None)
    if taken:
        return {path: sha256 for path, sha256 in taken.digests().items() if holds(names, path)}
    present = [path for name in names for path in present_files(project.layout, name, "")]
    hashes = {path: sha256_file(resolve_inside(project.layout.root, path)) for path in present}
    return {name: sha256 for name, sha256 in hashes.items() if sha256}


def _stamp() -> str:
    return now().isoformat(timespec="seconds")
