"""Carry out the stages of a staged rollback: change, watch, judge, until the trainer is healthy.

Each stage is an operation of its own. The state on disk always says where it is, so that `resume` can continue.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from atftctl.decide.detectors.bank import rules_of
from atftctl.decide.plans import by_settings
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.setting_changes import state as feature_states
from atftctl.decide.verdicts import health
from atftctl.domain.errors import Inconclusive, Interrupted
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Data, Part, Result
from atftctl.domain.resuming import Resuming
from atftctl.domain.staged import StagedState
from atftctl.domain.verdict import EXIT_OF, Verdict
from atftctl.host import footprint
from atftctl.observe.trainer_run import process, watch
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.checkpoint.choose import Wanted
from atftctl.operations.project import Project, observe
from atftctl.operations.request import Request, yes
from atftctl.operations.rollback import rungs
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr
from atftctl.state import staged as staged_state

POLL_S = 0.2


@dataclass(frozen=True)
class StagedData(Data):
    """A staged rollback. symptom: the symptom. stage: the stage that it ended with. verdict: pass, fail or
    inconclusive. operations: ids of the operations of its stages, for `undo`."""

    symptom: str
    stage: str
    verdict: str
    operations: tuple[str, ...]


@dataclass
class StagedRun:
    """A staged rollback that this process carries out."""

    project: Project
    state: StagedState
    policy: RestartPolicy
    request: Request
    parts: list[Part]

    @property
    def stage(self) -> str:
        return self.state.stages[self.state.at]

    @property
    def is_last(self) -> bool:
        return self.state.at + 1 == len(self.state.stages)

    @property
    def place(self) -> str:
        """The present stage, as people read it."""
        return tr(
            "stage {number} of {count} ({stage})",
            number=self.state.at + 1,
            count=len(self.state.stages),
            stage=self.stage,
        )

    def keep(self, state: StagedState) -> None:
        """Continue with this state, and write it to disk."""
        self.state = state
        staged_state.write(self.project.layout, state)


def run_stages(project: Project, state: StagedState, policy: RestartPolicy, request: Request) -> Result:
    """Carry out the stages from where the state says to the first after which the trainer is healthy. Raises
    Interrupted with the state; AtftError of a stage that failed."""
    quiet = replace(request, confirm=yes, seen=yes, reason=request.reason or state.reason)
    run = StagedRun(project, state, policy, quiet, [])
    try:
        return _run(run)
    except KeyboardInterrupt:
        state = staged_state.read(project.layout) or state
        raise Interrupted(
            tr("interrupted"),
            state=joined("; ", (state.summary, footprint.state(tr("no file has changed yet")))),
            hint="atftctl resume",
        ) from None


def _run(run: StagedRun) -> Result:
    while True:
        if run.state.doing == "changing":
            _change(run)
        begun = time.monotonic()
        verdict, detail = _judge(run)
        run.parts.append(Part(f"watch {run.stage}", time.monotonic() - begun))
        run.request.report.note(tr("{stage}: {detail}", stage=run.place, detail=detail))
        if verdict is not Verdict.FAIL or run.is_last:
            result = _result(run, verdict, detail)
            return _undo_stages(run, result) if run.request.or_undo and verdict is Verdict.FAIL else result
        run.keep(replace(run.state, at=run.state.at + 1, doing="changing"))


def _change(run: StagedRun) -> None:
    """Change the settings of the stage, restart, and wait for the first step. A stage whose settings are already in
    place, since a crash came after the change, is only watched."""
    project, state = run.project, run.state
    symptom, stage = project.runbook.symptoms[state.symptom], state.stages[state.at]

    def decide(facts: Facts, chosen: Resuming | None) -> Plan:
        return by_settings.stage(project.runbook, facts, state.symptom, stage, run.policy, project.language, chosen)

    operations = state.operations
    if not decide(observe(project), None).empty:
        request = replace(run.request, or_undo=False)
        wanted = Wanted(symptom.resume, symptom.resume_grade)
        result = carry_out(project, rungs.change(project, wanted, run.policy, request, decide), request)
        run.parts += result.parts
        operations = (*operations, result.change.operation)
        if result.exit_code is Exit.INTERRUPTED:
            raise Interrupted(result.headline, state=state.summary, hint="atftctl resume")
    record = process.read_record(project.layout)
    run_id = record.run_id if record else ""
    run.keep(replace(state, doing="watching", operations=operations, run_id=run_id))


def _judge(run: StagedRun) -> tuple[Verdict, str]:
    """Watch until the window is full, the time is up, or something is wrong. Return the verdict and its reason."""
    runbook = run.project.runbook
    rules, detector = runbook.staged, runbook.symptoms[run.state.symptom].detector
    columns = rules_of(runbook)
    deadline = time.monotonic() + rules.window_s
    run.request.report.part("watch")
    while True:
        window, obstacle = watch.look(run.project.layout, run.state, runbook.trainer)
        if obstacle:
            return Verdict.INCONCLUSIVE, obstacle
        verdict, detail = health.judge(window, columns, steps=rules.window_steps, leak=detector == "leak")
        if verdict is not Verdict.INCONCLUSIVE or time.monotonic() >= deadline:
            break
        time.sleep(POLL_S)
    if verdict is Verdict.PASS and detector == "quality":
        return _judge_quality(run)
    return verdict, detail


def _judge_quality(run: StagedRun) -> tuple[Verdict, str]:
    """Judge by the checklist: no window of training steps shows the quality of a model."""
    from atftctl.operations.verification.checklist import VerifyData, not_passed, verify

    try:
        result = verify(run.project, run.request)
    except Inconclusive as error:
        return Verdict.INCONCLUSIVE, error.message
    data = result.data
    assert isinstance(data, VerifyData)
    failed = not_passed(data)
    return Verdict(data.verdict), joined("; ", failed) if failed else result.headline


def _result(run: StagedRun, verdict: Verdict, detail: str) -> Result:
    """Return the result; the state on disk is removed where there is a verdict."""
    project, state = run.project, run.state
    if verdict is not Verdict.INCONCLUSIVE:
        staged_state.clear(project.layout)
    undo = [tr("undo: atftctl undo {operation}", operation=operation) for operation in reversed(state.operations)]
    return Result(
        "rollback",
        EXIT_OF[verdict],
        _headline(run, verdict, detail),
        lines=(*_next_lines(run, verdict), *undo),
        parts=tuple(run.parts),
        data=StagedData(state.symptom, run.stage, verdict.value, state.operations),
        contacts=project.contacts if verdict is Verdict.FAIL else (),
    )


def _headline(run: StagedRun, verdict: Verdict, detail: str) -> str:
    if verdict is Verdict.PASS:
        return tr("the trainer is healthy after {stage}: {detail}", stage=run.place, detail=detail)
    if verdict is Verdict.FAIL:
        return tr("no stage made the trainer healthy; after {stage}: {detail}", stage=run.place, detail=detail)
    return tr(
        "it is not known yet whether the trainer is healthy after {stage}: {detail}", stage=run.place, detail=detail
    )


def _next_lines(run: StagedRun, verdict: Verdict) -> tuple[str, ...]:
    if verdict is Verdict.FAIL:
        return (tr("next: atftctl rollback --to last-good"),)
    if verdict is Verdict.INCONCLUSIVE:
        return (
            tr("next: to continue watching: atftctl resume; to end the rollback at this stage: atftctl resume --drop"),
        )
    states = feature_states(run.project.runbook, observe(run.project))
    on = ", ".join(name for name, state in states.items() if state == "on")
    return (tr("still on: {names}", names=on or tr("nothing")), tr("next: atftctl verify"))


def _undo_stages(run: StagedRun, result: Result) -> Result:
    """Undo every stage, the newest first: `--or-undo`."""
    from atftctl.operations.undo import undo

    request = replace(run.request, or_undo=False, reason=f"undone: {result.headline}")
    for operation in reversed(run.state.operations):
        undo(run.project, operation, run.policy, request)
    headline = tr("undone: {problem}", problem=result.headline)
    return replace(result, exit_code=Exit.RESTORED, headline=headline, lines=())
