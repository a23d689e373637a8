"""The plan of one phase of `reenable`, and what must hold before it may begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.by_settings import settings_plan
from atftctl.decide.plans.setting_changes import changes
from atftctl.decide.verdicts.phases import edits, has_passed, standing
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.gate import WatchGate
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.reenabling import DOING_TEXTS, PhaseRecord, Reenabling, contents_of
from atftctl.domain.runbook import Phase, Runbook
from atftctl.domain.text import listed, moment
from atftctl.protocol.messages import Message, joined, tr


@record
class PhaseOrder:
    """Which phase to turn on. `state`: the progress so far, of this plan or another one. `forced`: why the phase may
    begin although its conditions are not met; "" where they must be."""

    plan: str
    number: int
    state: Reenabling | None = None
    forced: str = ""

    @property
    def progress(self) -> Reenabling | None:
        """The progress of this plan."""
        return self.state if self.state and self.state.plan == self.plan else None

    @property
    def known(self) -> PhaseRecord | None:
        """The record of this phase; None where it was not begun."""
        return self.progress.phase(self.number) if self.progress else None

    @property
    def command(self) -> str:
        """The command that turns this phase on."""
        return f"atftctl reenable --phase {self.number}"


def reenable(runbook: Runbook, facts: Facts, order: PhaseOrder, policy: RestartPolicy, language: str) -> Plan:
    """Return the plan that turns a phase on and judges it. A phase whose settings are in place already is only judged.

    Raises Refused where an earlier phase did not pass, the phase passed already or failed, or its plan was edited.
    """
    phases = runbook.plans[order.plan]
    _require_number(phases, order)
    if order.number == 1 and _edits(phases, order):
        order = replace(order, state=None)  # the first phase begins any plan anew
    _require_unedited(phases, order)
    _require_settings_of_earlier(runbook, facts, phases, order.number)
    _require_passed(runbook, facts, order)
    _require_not_ended(runbook, facts, phases, order)
    return _plan(runbook, facts, order, policy, language)


def go_on(runbook: Runbook, order: PhaseOrder, language: str) -> Plan:
    """Return the plan that goes on watching a phase that is open. Raises Refused where its plan was edited."""
    phases = runbook.plans[order.plan]
    _require_number(phases, order)
    _require_unedited(phases, order)
    title = tr("go on with phase {number} of {plan}", number=order.number, plan=order.plan)
    return Plan("reenable", title, (_watch(phases[order.number - 1], language),))


def _watch(phase: Phase, language: str) -> WatchGate:
    return WatchGate(phase.gate, phase.gate.source.say(language) if phase.gate.source else "")


def _require_number(phases: Sequence[Phase], order: PhaseOrder) -> None:
    """Raises Refused for a number that no phase of the plan has."""
    if not 1 <= order.number <= len(phases):
        raise Refused(
            tr(
                "plan {plan} has no phase {number}: its phases are 1 to {last}",
                plan=order.plan,
                number=order.number,
                last=len(phases),
            )
        )


def _plan(runbook: Runbook, facts: Facts, order: PhaseOrder, policy: RestartPolicy, language: str) -> Plan:
    phase = runbook.plans[order.plan][order.number - 1]
    title = tr(
        "phase {number} of {plan}: {title}", number=order.number, plan=order.plan, title=phase.title.say(language)
    )
    about = {"phase": str(order.number), "plan": order.plan, **({"forced": order.forced} if order.forced else {})}
    plan = settings_plan(
        runbook, facts, phase.settings, policy, command="reenable", title=title, resume="last", about=about
    )
    if not plan.targets:
        in_place = tr("its settings are in place already; it is only judged")
        plan = replace(plan, title=joined("; ", [title, in_place]))
    return replace(plan, steps=(*plan.steps, _watch(phase, language)))


def _edits(phases: Sequence[Phase], order: PhaseOrder) -> list[Message]:
    """What was changed in the plan since its first phase began, a line each."""
    return edits(order.progress.contents, contents_of(phases)) if order.progress else []


def _require_unedited(phases: Sequence[Phase], order: PhaseOrder) -> None:
    """Raises Refused where the plan is not the one whose earlier phases passed."""
    changed = _edits(phases, order)
    if changed and not order.forced:
        raise Refused(
            tr(
                "the plan {plan} was edited since its first phase began: {changes}",
                plan=order.plan,
                changes=listed(changed, 4),
            ),
            hint=tr(
                "undo the edit, or accept it: {command} --force 'why'; or begin anew: atftctl resume --drop",
                command=order.command,
            ),
        )


def _require_settings_of_earlier(runbook: Runbook, facts: Facts, phases: Sequence[Phase], number: int) -> None:
    """Raises Refused where a setting of an earlier phase is missing that no later phase sets again."""
    later = {name for phase in phases[number - 1 :] for name in phase.settings}
    for before in range(1, number):
        settings = {name: value for name, value in phases[before - 1].settings.items() if name not in later}
        missing = changes(runbook, facts.configs, settings)
        if missing:
            raise Refused(
                tr(
                    "phase {number} needs phase {before}, which is not in place: {change}",
                    number=number,
                    before=before,
                    change=missing[0].describe(),
                ),
                hint=tr("first run: atftctl reenable --phase {before}", before=before),
            )


def _require_passed(runbook: Runbook, facts: Facts, order: PhaseOrder) -> None:
    """Raises Refused where the phase before did not pass its gate."""
    before = order.number - 1
    if not before or order.forced or has_passed(runbook, facts.configs, order.progress, before):
        return
    state, why = standing(runbook, facts.configs, order.progress, before)
    shown = joined(": ", filter(None, [DOING_TEXTS[state], why]))
    raise Refused(
        tr(
            "phase {number} needs phase {before} to have passed its gate, and that phase is: {standing}",
            number=order.number,
            before=before,
            standing=shown,
        ),
        hint=tr(
            "judge it: atftctl reenable --phase {before}; or go on without: {command} --force 'why'",
            before=before,
            command=order.command,
        ),
    )


def _require_not_ended(runbook: Runbook, facts: Facts, phases: Sequence[Phase], order: PhaseOrder) -> None:
    """Raises Refused for a phase that has passed, and for one that failed unless it is forced."""
    if has_passed(runbook, facts.configs, order.progress, order.number):
        following = tr("the next phase: atftctl reenable --phase {number}", number=order.number + 1)
        raise Refused(
            tr("phase {number} of {plan} has passed already", number=order.number, plan=order.plan),
            hint=following if order.number < len(phases) else tr("this is the last phase of the plan"),
        )
    phase = order.known
    if phase and phase.doing == "failed" and not order.forced:
        raise Refused(
            tr(
                "phase {number} failed at its gate ({ended}): {evidence}",
                number=order.number,
                ended=moment(phase.ended),
                evidence=phase.note,
            ),
            hint=tr("remove the cause, then run: {command} --force 'why it is safe now'", command=order.command),
        )


def only_watches(plan: Plan) -> bool:
    """Does the plan do nothing but watch the trainer?"""
    return all(isinstance(step, WatchGate) for step in plan.steps)
