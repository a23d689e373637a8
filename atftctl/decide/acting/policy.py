"""What the watcher does about a look: nothing, propose a rollback, carry it out, or call a person."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.decide.acting import standing
from atftctl.decide.acting.signals import Signals, fault_of, signals_of, texts
from atftctl.decide.diagnosis.causes import command_of, symptom_of
from atftctl.domain.acting import Act, Acting, Decision, Memory, Mode, Past
from atftctl.domain.diagnosis import Evidence
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook
from atftctl.domain.text import listed
from atftctl.domain.watching import Look
from atftctl.protocol.messages import joined, tr, trn

# In these states nothing is rolled back: the trainer was stopped on purpose, has finished, or is not ours to judge.
LEFT_ALONE = (
    "never started", "waiting", "starting", "stopping", "stopped", "finished", "lost", "unknown", "elsewhere",
)  # fmt: skip


@record
class Grounds:
    """Why acting is justified: the signs, and the rule that they meet."""

    signals: Signals
    signs: tuple[Evidence, ...]
    rule: str


def decide(runbook: Runbook, look: Look, memory: Memory, past: Past, mode: Mode = "auto") -> Decision:
    """What to do. `memory`: with this look in it (`standing.after`). `mode`: which acts count."""
    if not look.sees:
        return Decision("idle", tr("the watcher can't see: {reason}", reason=look.blind))
    if look.process.state in LEFT_ALONE:
        return Decision("idle", tr("the trainer: {state}", state=STATE_TEXTS[look.process.state]))
    signals = signals_of(runbook, look.diagnosis)
    grounds = grounds_of(memory, signals)
    if grounds is None:
        return _not_enough(runbook, look, signals)
    return _limited(runbook.acting, look, memory, past, grounds, mode)


def grounds_of(memory: Memory, signals: Sequence[Signals]) -> Grounds | None:
    """Why acting is justified: by a proof; by two independent signals; by one that stood on two evaluations running.
    None where it is not."""
    for each in signals:
        if each.proof:
            return Grounds(each, (each.proof,), tr("a fatal event"))
    for each in signals:
        if pair := each.pair:
            return Grounds(each, pair, tr("two independent signals"))
    for each in signals:
        if each.strong and standing.stands(memory, each.symptom):
            return Grounds(each, each.strong[:1], tr("one signal on two evaluations running"))
    return None


def _not_enough(runbook: Runbook, look: Look, signals: Sequence[Signals]) -> Decision:
    """Nothing may be done: what is sure is proposed all the same."""
    if look.diagnosis.healthy:
        return Decision("idle", tr("nothing wrong was seen"))
    if signals and signals[0].strong:
        first = signals[0]
        why = tr("one signal of {symptom}: a second one, or two evaluations running, are needed to act",
                 symptom=first.symptom)  # fmt: skip
        return Decision("propose", why, first.symptom, command_for(first.symptom), texts(first.strong))
    if signals:
        first = signals[0]
        why = tr("what speaks for {symptom} is never enough to act by itself", symptom=first.symptom)
        return Decision("hold", why, first.symptom, command_for(first.symptom), texts(first.signs))
    main = look.diagnosis.main
    if main and look.diagnosis.is_sure and not symptom_of(runbook, main.cause):
        text = tr("{cause} is no symptom of the runbook: a person must look", cause=main.cause)
        return Decision(
            "propose", text, command=str(command_of(runbook, {}, main.cause)[0]), evidence=texts(main.evidence)
        )
    return Decision("idle", joined("; ", look.diagnosis.unknown[:2]) or tr("nothing speaks for a rollback"))


def command_for(symptom: str) -> str:
    """The command that a person runs."""
    return f"atftctl rollback --symptom {symptom}"


def _limited(rules: Acting, look: Look, memory: Memory, past: Past, grounds: Grounds, mode: Mode) -> Decision:
    """Act, unless a limit forbids it."""
    acts = [act for act in memory.acts if act.mode == mode and act.was_begun]
    symptom, evidence = grounds.signals.symptom, texts(grounds.signs)
    left = max(0, rules.rollbacks - used(acts, past))

    def decision(kind: str, why: str) -> Decision:
        fault = fault_of(grounds.signals, grounds.signs)
        return Decision(kind, why, symptom, command_for(symptom), evidence, fault, left=left)  # type: ignore[arg-type]

    if memory.stopped:
        return decision(
            "hold", tr("the watcher has called for a person, and waits: {reason}", reason=memory.stopped.why)
        )
    if why := cooling(rules, acts, look.now):
        return decision("hold", why)
    if act := rejected(acts, past, symptom, look.config):
        why = tr("a person undid this rollback ({operation}): it is not done again", operation=act.operation)
        return decision("page", why)
    if not left:
        text = trn("{count} rollback was done in this run: no further one is allowed",
                   "{count} rollbacks were done in this run: no further one is allowed", rules.rollbacks)  # fmt: skip
        return decision("page", text)
    return decision("act", tr("{rule}: {evidence}", rule=grounds.rule, evidence=listed(evidence, 2)))


def used(acts: Sequence[Act], past: Past) -> int:
    """How many rollbacks of the present run's budget are used."""
    return sum(act.at >= past.since for act in acts)


def cooling(rules: Acting, acts: Sequence[Act], now: float) -> str:
    """Why the next rollback has to wait; "" where it has not. A clock that was set back ends no wait."""
    last = max((act.ended or act.at for act in acts), default=None)
    if last is None or now - last >= rules.cool_down_s:
        return ""
    return tr("the last rollback ended {seconds:.0f} s ago: the next one may come after {limit:.0f} s",
              seconds=max(0.0, now - last), limit=rules.cool_down_s)  # fmt: skip


def rejected(acts: Sequence[Act], past: Past, symptom: str, config: str) -> Act | None:
    """The rollback for this symptom, from these settings, that a person undid; None without one."""
    return next(
        (act for act in acts if act.operation in past.undone and act.symptom == symptom and act.config == config), None
    )


def repeated(acts: Sequence[Act], symptom: str, step: int, answer: str) -> Act | None:
    """The earlier rollback that was the same answer to the same fault, with no step beyond it; None without one. What
    was put back was no answer."""
    given = (act for act in acts if act.outcome not in ("forgotten", "put back"))
    same = (act for act in given if act.symptom == symptom and act.answer == answer)
    return next((act for act in same if step <= act.step), None)
