"""Carry out a rollback that the watcher has decided, by the same way as `rollback --symptom`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from atftctl.decide.acting import past, policy
from atftctl.decide.acting.answer import answer_of
from atftctl.decide.acting.earned import policy_digest
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.acting import Act, Decision, Memory, Outcome
from atftctl.domain.errors import AtftError, Busy, Interrupted, InterventionNeeded, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Reporter, Result
from atftctl.domain.text import listed
from atftctl.domain.watching import Look
from atftctl.host import locks
from atftctl.host.errors import HostError, reason
from atftctl.operations.alerting import outbox
from atftctl.operations.change.carry_out import carry_out as change_files
from atftctl.operations.change.change import Change
from atftctl.operations.change.project_lock import held_by, recover_first
from atftctl.operations.project import Project, now, open_operation, open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import remedy
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import acts, history, process_record, reenable, sealed_records, staged
from atftctl.state.layout import Layout

LONGEST_REASON = 300  # characters
LONGEST_AGO_S = 60.0  # a look that is older says nothing: the watcher was stopped, or nobody read its lines


class NotNow(Refused):
    """The rollback waits: somebody else is at work, or the state is not that of the look any more."""


def obstacle(layout: Layout, look: Look) -> str:
    """Why nothing may be changed now; "" where nothing stands in the way. Takes no lock."""
    holder = locks.holder(layout.lock)
    if holder is not None:
        return held_by(holder)
    if opened := open_operation(layout):
        return opened.summary
    return _unfinished(layout) or _changed_since(layout, look)


def _unfinished(layout: Layout) -> str:
    """What a person has begun and not ended."""
    if layout.pending.exists():
        return tr("a change waits for its confirmation: atftctl confirm")
    if staged.read(layout):
        return tr("a staged rollback is open: atftctl resume")
    state = reenable.read(layout)
    if state is not None and reenable.is_running(state):
        return tr("a phase of improvements is being watched: atftctl reenable")
    return ""


def _changed_since(layout: Layout, look: Look) -> str:
    """Has somebody stopped, started or changed the trainer since the look? Could anything have happened since?"""
    if (age := now().timestamp() - look.now) > LONGEST_AGO_S:
        return tr("the watcher looked {seconds:.0f} s ago: it looks again", seconds=age)
    record = process_record.read(layout)
    if record is None or record.run_id != look.process.run_id:
        return tr("another trainer was started since the watcher looked")
    if record.wanted == "stopped":
        return tr("the trainer was stopped on purpose")
    entries = history.read(layout)
    newest = past.newest_by_others(entries)
    if newest and past.ended_at(newest) > look.now:
        return tr("{operation} was done since the watcher looked", operation=newest["operation"])
    return ""


def is_cut_short(layout: Layout, memory: Memory) -> bool:
    """Was a rollback of the watcher interrupted by a kill, so that its operation is open, and nobody is at work?"""
    return bool(open_act(layout, memory)) and locks.holder(layout.lock) is None


def open_act(layout: Layout, memory: Memory) -> str:
    """The act whose operation is open; "" for none."""
    opened = open_operation(layout)
    try:
        intent = (sealed_records.read(layout.journal, opened.id, "intent") if opened else None) or {}
    except (OSError, HostError):
        return ""
    asked = past.asked_by_watcher(intent)
    return asked if asked in {act.id for act in memory.acts} else ""


def left_open(layout: Layout) -> str:
    """The operation that is open while nobody is at work on it, in words; "" for none."""
    opened = open_operation(layout)
    return opened.summary if opened and locks.holder(layout.lock) is None else ""


def recover(project: Project, report: Reporter) -> None:
    """Finish or reverse the watcher's own rollback that was interrupted. Raises Busy where a person has begun to;
    AtftError, HostError, OSError where it fails."""
    recover_first(project, "recover", Request(reason="watch: its rollback was interrupted", report=report))


def carry_out(project: Project, memory: Memory, look: Look, act: Act, decision: Decision, report: Reporter) -> Decision:
    """Roll back for the symptom of this act. The act is written under the project's lock, right before the operation
    begins. Raises NotNow where somebody was faster; AtftError, HostError, OSError for a rollback that was refused or
    failed; KeyboardInterrupt."""
    fresh = open_project(project.layout.root, project.language)  # the runbook may have changed since the start
    if act.symptom not in fresh.runbook.symptoms:
        raise Refused(tr("the runbook has no symptom {name!r} any more", name=act.symptom))
    if policy_digest(fresh.runbook) != policy_digest(project.runbook):
        raise NotNow(tr("the runbook's rules have changed: start the watcher again"))
    request = Request(reason=_reason(decision.evidence), report=report)
    try:
        change = remedy.change_for(fresh, act.symptom, RestartPolicy(), request, 0, {}, seen=True)
        result = change_files(fresh, _as_act(fresh, memory, look, act, change), request)
    except Busy as error:
        raise NotNow(error.message) from None
    except Interrupted:
        raise KeyboardInterrupt from None
    return _ended(fresh, act, decision, result)


def _reason(evidence: Sequence[str]) -> str:
    return f"watch: {listed([str(text) for text in evidence], 3)}"[:LONGEST_REASON]


def _as_act(project: Project, memory: Memory, look: Look, act: Act, change: Change) -> Change:
    """The change as one of the watcher: it is checked against what the watcher saw, and keeps its record."""
    layout = project.layout
    earlier = [known for known in memory.acts if known.mode == "auto"]
    newest, answers = len(history.read(layout)), list[str]()

    def check() -> None:
        change.check()
        if why := _unfinished(layout) or _changed_since(layout, look):
            raise NotNow(why)
        if len(history.read(layout)) != newest or acts.read(layout).to_json() != memory.to_json():
            raise NotNow(tr("somebody has changed something since the watcher decided"))

    def decide(facts: Facts) -> Plan:
        plan = change.decide(facts)
        answers.append(answer_of(plan, facts.configs))
        same = policy.repeated(earlier, act.symptom, act.step, answers[-1])
        if same is not None:
            raise Refused(
                tr("{symptom} has returned without progress, and this was done already by {operation}",
                   symptom=act.symptom, operation=same.operation or same.id)
            )  # fmt: skip
        return replace(plan, facts={**plan.facts, past.KEY: act.id})

    def begin(plan: Plan) -> None:
        change.begin(plan)
        try:
            acts.write(layout, acts.with_act(memory, replace(act, answer=answers[-1])))
        except (OSError, HostError) as error:
            text = tr("the watcher does not act, since it can't write what it decides: {reason}", reason=reason(error))
            raise NotNow(text) from None

    return replace(change, decide=decide, check=check, begin=begin)


def _ended(project: Project, act: Act, decision: Decision, result: Result) -> Decision:
    """Record how the operation ended."""
    layout = project.layout
    entries = history.read(layout)
    memory = acts.read(layout)
    begun = next((known for known in memory.acts if known.id == act.id), act)
    settled = past.settled(begun, entries, now().timestamp(), begun.generation)
    acts.write(layout, acts.with_act(memory, settled))
    outbox.poke(project)
    if result.exit_code is Exit.INTERRUPTED:
        raise KeyboardInterrupt
    if result.exit_code is not Exit.DONE:
        raise InterventionNeeded(result.headline)
    left = max(0, (decision.left or 1) - 1)
    return replace(decision, operation=settled.operation, left=left)


def measured(project: Project) -> Outcome:
    """What `verify` says about the quality of the model."""
    from atftctl.operations.verification.checklist import verify

    try:
        result = verify(project, Request(), only=("quality",))
    except (AtftError, HostError, OSError):
        return "inconclusive"
    outcomes: Mapping[Exit, Outcome] = {Exit.DONE: "restored", Exit.CHECK_FAILED: "not restored"}
    return outcomes.get(result.exit_code, "inconclusive")
