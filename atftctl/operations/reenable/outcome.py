"""What follows from the verdict of a gate: the phase has passed, it is held, or it is undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.verdicts.phases import Configs, taken_away
from atftctl.domain.errors import AtftError, Interrupted, InterventionNeeded
from atftctl.domain.result import Part, Result
from atftctl.domain.verdict import Check, Verdict, overall
from atftctl.observe.configs import digest
from atftctl.operations.project import now, observe
from atftctl.operations.reenable import in_place
from atftctl.operations.reenable.gate_checks import failed
from atftctl.operations.reenable.run import COMMAND, PhaseRun, line_of, wait_for_lock
from atftctl.operations.request import yes
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import quarantine


def conclude(run: PhaseRun, checks: Sequence[Check]) -> Result:
    """Record the verdict over these checks, and do what follows from it. Raises Refused where the phase was abandoned
    or taken over meanwhile, InterventionNeeded where a failed phase can't be undone."""
    verdict = overall(checks)
    with run.locked_for_record():
        run.require_ours()
        configs = observe(run.project).configs
        if lost := _lost(run, configs, verdict):
            return _void(run, (*checks, Check("settings", Verdict.INCONCLUSIVE, lost)))
        judged = run.phase.view.digest or digest(configs)
        if verdict is Verdict.PASS:
            return _passed(run, checks, judged)
        if verdict is Verdict.INCONCLUSIVE:
            return _held(run, checks)
        _begin_undo(run, checks, judged)
    return undo(run, checks)


def _lost(run: PhaseRun, configs: Configs, verdict: Verdict) -> str:
    """Why the verdict counts for nothing; "" where it counts. A phase that failed is undone while anything of it is in
    place, also where it is not whole any more."""
    if verdict is Verdict.FAIL and in_place.is_anything_on(run, configs):
        return ""
    gone = taken_away(run.project.runbook, configs, run.state.contents, run.number)
    return joined("; ", filter(None, [*gone, run.ended_by_other()]))


def _passed(run: PhaseRun, checks: Sequence[Check], config: str) -> Result:
    lift_quarantine(run, config, "passed its gate")
    run.log("passed", Exit.DONE, tr("passed: {detail}", detail=line_of(checks[0])), checks)
    run.update_locked(doing="passed", ended=_stamp(), evidence=tuple(map(line_of, checks)), note="")
    return _result(run, Verdict.PASS, checks, tr("{place} passed: {detail}", place=run.place, detail=checks[0].detail))


def lift_quarantine(run: PhaseRun, config: str, why: str) -> None:
    """Release a config that was quarantined when the phase failed before."""
    if config and quarantine.reason(run.layout, config):
        quarantine.lift(run.layout, config, f"{run.place} {why}", now())


def _held(run: PhaseRun, checks: Sequence[Check]) -> Result:
    detail = joined("; ", map(line_of, failed(checks)))
    run.log("inconclusive", Exit.INCONCLUSIVE, tr("held: {detail}", detail=detail), checks)
    run.update_locked(doing="held", ended=_stamp(), evidence=tuple(map(line_of, checks)), note=detail)
    return _result(run, Verdict.INCONCLUSIVE, checks, tr("{place} is held: {detail}", place=run.place, detail=detail))


def _void(run: PhaseRun, checks: Sequence[Check]) -> Result:
    """Another operation, or somebody's editor, took the settings of the phase away while it was watched."""
    detail = joined("; ", map(line_of, failed(checks)))
    run.log("void", Exit.INCONCLUSIVE, tr("void: {detail}", detail=detail), checks)
    run.update_locked(doing="void", ended=_stamp(), evidence=tuple(map(line_of, checks)), note=detail)
    headline = tr("{place} is void: its settings were taken away while it was watched", place=run.place)
    result = _result(run, Verdict.INCONCLUSIVE, checks, headline)
    return replace(result, lines=(tr("to begin it again: atftctl reenable --phase {number}", number=run.number),))


def _begin_undo(run: PhaseRun, checks: Sequence[Check], config: str) -> None:
    """Record that the phase failed and is to be undone, and put its config into quarantine, before anything is undone:
    a crash in between must not forget the verdict."""
    detail = joined("; ", map(line_of, failed(checks)))
    if config:
        why = f"{run.place} failed at its gate ({detail}), {run.phase.operation or 'no operation'}"
        quarantine.add(run.layout, config, why, now())
    run.update_locked(doing="undoing", ended=_stamp(), evidence=tuple(map(line_of, checks)), note=detail)


def undo(run: PhaseRun, checks: Sequence[Check]) -> Result:
    """Undo the operation of this phase alone, unless that was done before a crash. Raises InterventionNeeded where it
    can't be undone; the phase is still to be undone then."""
    phase = run.phase
    problem = tr("{place} failed: {detail}", place=run.place, detail=phase.note)
    run.request.report.note(problem)
    still_on = in_place.is_anything_on(run, observe(run.project).configs)
    if still_on and not phase.operation:
        return _not_undone(run, checks, problem)
    undone = _undo_operation(run, problem) if still_on else None
    headline, exit_code = tr("{problem}; the phase was undone", problem=problem), Exit.RESTORED
    if undone:
        run.parts.append(Part("undo", sum(part.seconds for part in undone.parts)))
    if undone and undone.exit_code is not Exit.DONE:  # the files are as before, but the trainer is not healthy
        headline = tr("{headline}; {problem}", headline=headline, problem=undone.headline)
        exit_code = undone.exit_code
    with run.locked_for_record():
        run.require_ours()
        run.log("failed, undone", exit_code, tr("failed: {detail}", detail=phase.note), checks)
        run.update_locked(doing="failed", undone_by=undone.change.operation if undone else "")
    result = _result(run, Verdict.FAIL, checks, headline)
    return replace(result, exit_code=exit_code, contacts=run.project.contacts)


def _undo_operation(run: PhaseRun, problem: Message) -> Result:
    from atftctl.operations.undo import undo as undo_operation

    operation = run.phase.operation
    by_hand = f"atftctl undo {operation}"
    request = replace(run.request, confirm=yes, seen=yes, or_undo=False, reason=f"undone: {problem}")
    wait_for_lock(run.layout)
    try:
        return undo_operation(run.project, operation, run.policy, request)
    except Interrupted as error:
        error.hint = tr("to undo the failed phase: atftctl resume")
        raise
    except AtftError as error:
        raise InterventionNeeded(
            tr("{problem}; undoing it failed: {reason}", problem=problem, reason=error.message),
            state=joined("; ", filter(None, [tr("the settings of the phase are still in place"), error.state])),
            hint=tr("{hint}; then: atftctl resume", hint=error.hint or by_hand),
        ) from error


def _not_undone(run: PhaseRun, checks: Sequence[Check], problem: Message) -> Result:
    """A phase whose settings were in place before: no operation of ours can be undone."""
    with run.locked_for_record():
        run.require_ours()
        run.log("failed", Exit.CHECK_FAILED, problem, checks)
        run.update_locked(doing="failed")
    names = " ".join(run.state.contents[run.number - 1]["settings"])
    result = _result(run, Verdict.FAIL, checks, problem)
    lines = (
        tr("its settings were in place before it began, so there is nothing to undo"),
        tr("next: atftctl rollback --feature {names}", names=names),
    )
    contacts = run.project.contacts
    return replace(result, exit_code=Exit.CHECK_FAILED, lines=(*result.lines, *lines), contacts=contacts)


def _result(run: PhaseRun, verdict: Verdict, checks: Sequence[Check], headline: Message) -> Result:
    codes = {Verdict.PASS: Exit.DONE, Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE, Verdict.FAIL: Exit.RESTORED}
    marks = {Verdict.PASS: tr("ok"), Verdict.FAIL: tr("FAILED"), Verdict.INCONCLUSIVE: tr("not known")}
    seen: tuple[str, ...] = tuple(
        tr("{mark}: {line}", mark=marks[check.verdict], line=line_of(check)) for check in checks
    )
    seen = seen or run.phase.evidence  # judged before a crash
    return Result(
        COMMAND,
        codes[verdict],
        headline,
        lines=(*seen, *_next_lines(run, verdict)),
        parts=tuple(run.parts),
        data=run.data(verdict.value, checks),
    )


def _next_lines(run: PhaseRun, verdict: Verdict) -> tuple[Message, ...]:
    phase, number = run.phase, run.number
    if verdict is Verdict.PASS:
        if number < run.state.count:
            return (tr("next: atftctl reenable --next"),)
        return (tr("this was the last phase of the plan; next: atftctl verify"),)
    if verdict is Verdict.INCONCLUSIVE:
        undo_line = tr("to undo the phase: atftctl undo {operation}", operation=phase.operation)
        return (
            tr("to go on watching, without another restart: atftctl resume"),
            tr(
                "to let it pass all the same: atftctl reenable --phase {number} --accept-inconclusive 'why'",
                number=number,
            ),
            *((undo_line,) if phase.operation else ()),
        )
    again = tr(
        "next, once the cause is removed: atftctl reenable --phase {number} --force 'why it is safe now'", number=number
    )
    quarantined = tr("its config is quarantined: atftctl guard starts no trainer with it")
    if not phase.snapshot:
        return (quarantined, again)
    weights = tr(
        "the trainer went on from its last weights; to go back to those of before the phase: "
        "atftctl restore {snapshot} --only models",
        snapshot=phase.snapshot,
    )
    return (quarantined, weights, again)


def _stamp() -> str:
    return now().isoformat(timespec="seconds")
