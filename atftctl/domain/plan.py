"""The plan: a frozen list of steps. A dry run shows the same plan that `apply` carries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from atftctl.domain.code_steps import ChangePackages, MoveBranch
from atftctl.domain.commits import CodeMove
from atftctl.domain.confirm_steps import AwaitConfirmation
from atftctl.domain.record import record
from atftctl.domain.rehearse_steps import Rehearse
from atftctl.domain.snapshot_steps import RemoveSnapshot
from atftctl.domain.steps import (
    ChangeFiles,
    RecoverFirst,
    ReloadTrainer,
    RunStage,
    SettingChange,
    StartTrainer,
    Step,
    StopTrainer,
    TakeSnapshot,
    Target,
)
from atftctl.domain.units import Unit


@record
class Plan:
    """The steps of one operation. `target_minutes`: how long it may take. `undo_of`: the id of the operation that it
    undoes. `notes`: remarks for the operator. `resume`: the checkpoint from which training goes on, also where the plan
    itself starts no trainer."""

    command: str
    title: str
    steps: tuple[Step, ...] = ()
    target_minutes: int | None = None
    notes: tuple[str, ...] = ()
    undo_of: str = ""
    resume: str = "last"
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the record: symptom, phase, snapshot

    @property
    def empty(self) -> bool:
        """No file, no snapshot and no process would change."""
        return not any(
            isinstance(
                step,
                StopTrainer | ChangeFiles | StartTrainer | RecoverFirst | RemoveSnapshot | RunStage | ChangePackages,
            )
            for step in self.steps
        )

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(target for step in self.steps if isinstance(step, ChangeFiles) for target in step.targets)

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(unit for step in self.steps if isinstance(step, ChangeFiles) for unit in step.units)

    @property
    def changes(self) -> tuple[SettingChange, ...]:
        return tuple(change for target in self.targets for change in target.changes)

    @property
    def stops(self) -> tuple[StopTrainer, ...]:
        return tuple(step for step in self.steps if isinstance(step, StopTrainer))

    @property
    def start(self) -> StartTrainer | None:
        return next((step for step in self.steps if isinstance(step, StartTrainer)), None)

    @property
    def code(self) -> CodeMove | None:
        return next((step.move for step in self.steps if isinstance(step, MoveBranch)), None)

    @property
    def packages(self) -> ChangePackages | None:
        return next((step for step in self.steps if isinstance(step, ChangePackages)), None)

    @property
    def reload(self) -> ReloadTrainer | None:
        return next((step for step in self.steps if isinstance(step, ReloadTrainer)), None)

    @property
    def confirmation(self) -> AwaitConfirmation | None:
        return next((step for step in self.steps if isinstance(step, AwaitConfirmation)), None)

    @property
    def snapshot(self) -> TakeSnapshot | None:
        return next((step for step in self.steps if isinstance(step, TakeSnapshot)), None)


def with_steps(plan: Plan, *, first: tuple[Step, ...] = (), after: tuple[Step, ...] = ()) -> Plan:
    """The plan with the steps `first` before all others, and the steps `after` right after the step that changes files
    (at the end where no step does)."""
    at = next((number for number, step in enumerate(plan.steps, 1) if isinstance(step, ChangeFiles)), len(plan.steps))
    return replace(plan, steps=(*first, *plan.steps[:at], *after, *plan.steps[at:]))


def with_targets(plan: Plan, targets: tuple[Target, ...]) -> Plan:
    """The plan whose step that changes files changes these, too."""
    steps = [
        replace(step, targets=(*step.targets, *targets)) if isinstance(step, ChangeFiles) else step
        for step in plan.steps
    ]
    return replace(plan, steps=tuple(steps))


def with_notes(plan: Plan, notes: tuple[str, ...]) -> Plan:
    """The plan with further notes."""
    return replace(plan, notes=(*plan.notes, *notes)) if notes else plan


def with_rehearsal(shown: Plan, final: Plan) -> Plan:
    """Return the plan that was made under the lock, with what the rehearsal of the plan that was shown has told."""
    steps = tuple(step for step in shown.steps if isinstance(step, Rehearse))
    facts = {name: shown.facts[name] for name in ("rehearsal", "forced") if name in shown.facts}
    return replace(final, steps=(*steps, *final.steps), facts={**final.facts, **facts}) if steps else final
