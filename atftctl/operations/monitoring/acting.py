"""What the watcher does about a look: it proposes, writes down what it would do, or rolls back by itself."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from atftctl.decide.acting import afterwards, past, policy, standing
from atftctl.decide.acting.signals import Signals, signals_of
from atftctl.domain.acting import Act, Decision, Memory, Mode, Past, Stopped
from atftctl.domain.errors import AtftError, Busy, Interrupted
from atftctl.domain.result import Reporter
from atftctl.domain.watching import Look
from atftctl.host.errors import HostError, reason
from atftctl.operations.alerting import outbox
from atftctl.operations.monitoring import carrying, earned
from atftctl.operations.project import Project, open_operation
from atftctl.protocol.messages import tr
from atftctl.state import acts, history
from atftctl.state.layout import Layout

Entries = tuple[Mapping[str, Any], ...]
_unrecorded = set[tuple[Layout, str]]()  # calls for a person of this process that could not be written


def consider(project: Project, look: Look, report: Reporter, mode: Mode = "propose") -> Decision:
    """Decide about a look, and do it. `mode`: `propose` changes and writes nothing; `shadow` writes down what `auto`
    would have done; `auto` carries the rollback out. Raises KeyboardInterrupt where the operator stopped a rollback;
    any other failure is a decision to hold, or to call a person."""
    if mode == "propose":
        return _proposed(policy.decide(project.runbook, look, Memory(), Past(), mode))
    try:
        return _consider(project, look, report, mode)
    except AtftError as error:
        return Decision("hold", tr("the watcher does not act: {reason}", reason=error.message))
    except (OSError, HostError) as error:
        text = tr("the watcher does not act, since it can't write what it decides: {reason}", reason=reason(error))
        return Decision("hold", text)


def _proposed(decision: Decision) -> Decision:
    return replace(decision, kind="propose", left=None) if decision.kind in ("act", "page") else decision


def _consider(project: Project, look: Look, report: Reporter, mode: Mode) -> Decision:
    layout = project.layout
    before = acts.read(layout)
    signals = signals_of(project.runbook, look.diagnosis) if look.sees else ()
    if mode == "auto" and (unfinished := _recovered(project, before, look, report)):
        return unfinished
    memory = standing.after(before, look, signals)
    entries = _history(layout) if memory.acts or memory.stopped or signals else ()
    memory = _followed(project, memory, look, signals, entries) if mode == "auto" else memory
    known = past.past_of(entries, memory, look.now)
    memory = _with_run(memory, look, known)
    if memory.to_json() != before.to_json():
        acts.write(layout, memory)
    if mode == "shadow":
        return _watched(project, memory, look, known, signals)
    if memory.stopped and not before.stopped:  # by what a kill has left: nobody was called yet
        decision = Decision("page", memory.stopped.why, command="atftctl status")
    else:
        decision = policy.decide(project.runbook, look, memory, known, mode)
    if decision.kind == "page":
        decision = call(project, memory, decision, look.now)
    elif decision.kind == "act":
        decision = _carried_out(project, memory, look, decision, report)
    return replace(decision, settled=_settled(before, memory))


def _recovered(project: Project, memory: Memory, look: Look, report: Reporter) -> Decision | None:
    """Finish or reverse the watcher's own rollback that a kill has interrupted; the decision where that fails."""
    if memory.stopped or not carrying.is_cut_short(project.layout, memory):
        return None
    try:
        carrying.recover(project, report)
    except Busy as error:
        return Decision("hold", error.message)
    except Interrupted:  # by the operator, who is here: no person is called
        raise KeyboardInterrupt from None
    except (AtftError, HostError, OSError) as error:
        why = tr("its interrupted rollback can't be recovered: {reason}", reason=reason(error))
        return call(project, memory, Decision("page", why, command="atftctl recover"), look.now)
    return None


def _watched(project: Project, memory: Memory, look: Look, known: Past, signals: tuple[Signals, ...]) -> Decision:
    """What a shadow decides about a look, and what its steps show."""
    decision = policy.decide(project.runbook, look, replace(memory, stopped=None), known, "shadow")
    proof = any(each.proof for each in signals)
    earned.add_look(project, look, acts=decision.kind in ("act", "page"), proof=proof)
    return _as_shadow(project, memory, look, decision)


def _settled(before: Memory, memory: Memory) -> tuple[Act, ...]:
    """The acts whose outcome is known since the look before."""
    open_ones = {act.id for act in before.acts if not act.outcome}
    return tuple(act for act in memory.acts if act.id in open_ones and act.outcome)


def _history(layout: Layout) -> Entries:
    """The history; read again only where its file has changed: the watcher looks at it each second."""
    try:
        status = layout.history.stat()
    except OSError:
        return ()
    return _history_of(layout, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=1)
def _history_of(layout: Layout, version: tuple[int, ...]) -> Entries:
    del version
    return tuple(history.read(layout))


def _followed(project: Project, memory: Memory, look: Look, signals: tuple[Signals, ...], entries: Entries) -> Memory:
    """Settle what a kill cut short, and see what became of the trainer after each rollback. What is open, since a
    person is just recovering it, is not settled: it would be forgotten, and would count no more."""
    opened = carrying.open_act(project.layout, memory)
    for act in memory.acts:
        if act.mode == "auto" and not act.outcome and act.id != opened:
            after = past.settled(act, entries, look.now, look.generation) if act.is_open else act
            memory = acts.with_act(memory, _judged(project, after, look, signals))
            if after.outcome == "failed":
                why = tr("the trainer did not come up after {operation}", operation=after.operation)
                memory = replace(memory, stopped=Stopped(look.now, why))
    return memory


def _judged(project: Project, act: Act, look: Look, signals: tuple[Signals, ...]) -> Act:
    """The act with what became of the trainer, as far as this look shows it."""
    if act.outcome:
        return act
    symptom = project.runbook.symptoms.get(act.symptom)
    detector = symptom.detector if symptom else ""
    act = afterwards.followed(project.runbook.acting, detector, act, look, signals)
    if act.outcome == "restored" and detector == "quality":  # steps do not show it
        return replace(act, outcome=carrying.measured(project))
    return act


def _with_run(memory: Memory, look: Look, known: Past) -> Memory:
    """A person who has taken over lets the watcher act again; a training that has finished is followed by a new run."""
    if memory.stopped and known.since > memory.stopped.at:
        memory = replace(memory, stopped=None)
    if look.sees and look.process.state == "finished" and any(act.at >= known.since for act in memory.acts):
        memory = replace(memory, reset=look.now)
    return memory


def _as_shadow(project: Project, memory: Memory, look: Look, decision: Decision) -> Decision:
    """Write down what would have been done. A call for a person because no rollback is left counts as one more: else
    a watcher that is wrong each hour would have shown after three of them that it is never wrong again."""
    if decision.kind not in ("act", "page"):
        return decision
    act = replace(_act_of(look, decision, "shadow"), ended=look.now, outcome="shadow")
    acts.write(project.layout, acts.with_act(memory, act))
    if decision.kind == "page":
        return replace(decision, kind="propose", why=tr("it would have called a person: {reason}", reason=decision.why))
    return replace(decision, kind="propose", why=tr("it would have acted: {reason}", reason=decision.why))


def _carried_out(project: Project, memory: Memory, look: Look, decision: Decision, report: Reporter) -> Decision:
    """Roll back. Whatever fails then, a person is called, and the watcher does not try it again."""
    if obstacle := carrying.obstacle(project.layout, look):
        return replace(decision, kind="hold", why=obstacle)
    act = _act_of(look, decision, "auto")
    try:
        return carrying.carry_out(project, memory, look, act, decision, report)
    except carrying.NotNow as error:
        return replace(decision, kind="hold", why=error.message)
    except (AtftError, HostError, OSError) as error:
        problem = reason(error)
    except Exception as error:  # noqa: BLE001 - a bug of ours: the watcher lives on, and a person looks
        problem = f"{type(error).__name__}: {error}"
    memory = acts.read(project.layout)
    begun = next((known for known in memory.acts if known.id == act.id), None)
    if begun is not None and not open_operation(project.layout):
        begun = past.settled(begun, history.read(project.layout), look.now, begun.generation)
        memory = acts.with_act(memory, begun)
    why = tr("the rollback did not succeed: {reason}", reason=problem)
    return call(project, memory, replace(decision, why=why, operation=begun.operation if begun else ""), look.now)


def call(project: Project, memory: Memory, decision: Decision, now: float) -> Decision:
    """Call a person, and act no more until one has taken over. Where that can't be written, no act can be, either, and
    the next look comes here again: people are told once. Where they can't be told, the screen and the contacts are
    left."""
    call_id = (project.layout, str(decision.why))
    is_repeated = call_id in _unrecorded
    try:
        acts.write(project.layout, replace(memory, stopped=Stopped(now, str(decision.why))))
        _unrecorded.discard(call_id)
    except (OSError, HostError):
        _unrecorded.add(call_id)
    if not is_repeated:
        with suppress(AtftError, OSError, HostError):
            outbox.page(project, str(decision.why), decision.command)
    return replace(decision, kind="page", contacts=project.contacts)


def _act_of(look: Look, decision: Decision, mode: Mode) -> Act:
    stamp = datetime.fromtimestamp(look.now).astimezone().strftime("%Y%m%d_%H%M%S")
    return Act(
        id=f"{stamp}-{secrets.token_hex(2)}",
        at=look.now,
        mode=mode,
        symptom=decision.symptom,
        fault=decision.fault,
        generation=look.generation,
        step=max(look.step, look.process.step or 0),
        config=look.config,
        evidence=tuple(map(str, decision.evidence)),
    )
