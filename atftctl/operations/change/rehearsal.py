"""`--rehearse`: train with the planned settings in a scratch copy before the plan is shown.

What trains is what would be written: the rendered contents of the plan, and the checkpoint that the trainer would start
from. A rehearsal that does not pass refuses the change, unless the operator forces it with a reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.decide.verdicts.rehearsal import Rehearsed, judge, memory_problem
from atftctl.domain.errors import Inconclusive, Refused
from atftctl.domain.facts import Process
from atftctl.domain.plan import Plan, with_notes
from atftctl.domain.rehearse_steps import Rehearse
from atftctl.domain.text import listed
from atftctl.domain.units import holds
from atftctl.domain.verdict import Verdict
from atftctl.host.errors import HostError
from atftctl.host.files.fingerprint import LINK, is_link
from atftctl.host.files.reading import read_bytes
from atftctl.host.memory import available_mb
from atftctl.host.yaml_text.read import MAX_BYTES
from atftctl.observe.trainer_run import rehearsing
from atftctl.operations.change.new_runbook import with_new_runbook
from atftctl.operations.change.preview import Content, Rendered
from atftctl.operations.project import Project
from atftctl.operations.request import RehearseFirst
from atftctl.protocol.messages import tr

SHARE = 0.9  # of the memory that is available; the rest is for the trainer in service, which may grow meanwhile
CHECKPOINTS = (protocol.LAST, protocol.PREVIOUS, protocol.BEST)


def rehearsed(project: Project, process: Process, plan: Plan, rendered: Rendered, first: RehearseFirst) -> Plan:
    """Rehearse; return the plan with a step that says how it went. Raises Refused where it did not pass and is not
    forced."""
    outcome = _rehearse(with_new_runbook(project, rendered), process, plan, rendered, first.steps)
    passed = outcome.verdict is Verdict.PASS
    if not passed and not first.force:
        raise _refusal(outcome)
    checkpoint = outcome.checkpoint or resume_of(plan)
    step = Rehearse(first.steps, checkpoint, outcome.text, "" if passed else first.force)
    about = {"verdict": outcome.verdict.value, "text": str(outcome.text), "checkpoint": checkpoint, **outcome.figures}
    facts: dict[str, Any] = {**plan.facts, "rehearsal": about}
    if not passed:
        facts["forced"] = first.force
    return with_notes(replace(plan, steps=(step, *plan.steps), facts=facts), _left_out(project, plan))


def _left_out(project: Project, plan: Plan) -> tuple[str, ...]:
    """Say what the rehearsal left out: files of the plan, since it runs the present code, and further processes."""
    used = (*CHECKPOINTS, *project.runbook.files.models, *project.runbook.files.configs)
    hold = project.runbook.checkpoints.hold
    others = [target.path for target in plan.targets if not holds(used, target.path) and not hold(target.path)]
    notes = [tr("not part of the rehearsal: {paths}", paths=listed(others, 4))] if others else []
    if (count := project.runbook.trainer.processes) > 1:
        notes.append(
            tr("rehearsed in one process; the trainer runs {count} processes, each with memory of its own", count=count)
        )
    return tuple(notes)


def resume_of(plan: Plan) -> str:
    """Return the kind of checkpoint that the trainer goes on from; a running trainer that reloads saves its last."""
    return "last" if plan.reload else plan.resume


def _rehearse(project: Project, process: Process, plan: Plan, rendered: Rendered, steps: int) -> Rehearsed:
    layout, runbook = project.layout, project.runbook
    room = math.floor(available_mb() * SHARE)
    limit_mb = runbook.trainer.memory_limit_mb
    running = process.pid if process.alive else None
    problem = memory_problem(room, (process.memory_mb or 0.0) if running else 0.0, limit_mb, running)
    if problem:
        return Rehearsed(Verdict.INCONCLUSIVE, problem)
    try:
        request = rehearsing.RehearseRequest(
            planned=_texts(project, rendered.contents),
            current=_texts(project, {}, missing_ok=True),
            steps=steps,
            resume=resume_of(plan),
            models=_models(project, plan, rendered.contents),
            memory_mb=room,
        )
        answer = rehearsing.rehearse(layout, runbook, request)
    except Inconclusive as error:
        return Rehearsed(Verdict.INCONCLUSIVE, error.message, log=error.lines)
    return judge(answer, steps=steps, limit_mb=limit_mb, grad_norm_max=runbook.checks.grad_norm_max)


def _texts(project: Project, contents: Mapping[str, Content], *, missing_ok: bool = False) -> Sequence[bytes]:
    """Return the config files: with these new contents, the others as they are. None at all where one can't be read and
    `missing_ok`; raises Inconclusive otherwise."""
    texts = []
    for name in project.runbook.files.configs:
        try:
            content = contents.get(name, project.layout.place(name))
            texts.append(content if isinstance(content, bytes) else read_bytes(content, MAX_BYTES + 1))
        except (OSError, HostError) as error:
            if missing_ok:
                return ()
            raise Inconclusive(str(error)) from None
    return texts


def _models(project: Project, plan: Plan, contents: Mapping[str, Content]) -> dict[str, Content | None]:
    """Return what the plan puts in place of the checkpoints that a trainer starts from; None for a removed one."""
    models: dict[str, Content | None] = {}
    known = (*CHECKPOINTS, *project.runbook.files.models)
    for target in plan.targets:
        if not holds(known, target.path) and not project.runbook.checkpoints.hold(target.path):
            continue
        if is_link(target.new):
            models[target.path] = _behind(project, target.path, str(target.new).removeprefix(LINK), contents)
        else:
            models[target.path] = None if target.removes else contents.get(target.path)
    return models


def _behind(project: Project, name: str, link: str, contents: Mapping[str, Content]) -> Content:
    """Return the content behind a symlink of the plan: new, where the plan restores that file, too."""
    path = Path(name).parent / link
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return contents.get("/".join(parts), project.layout.root / path)


def _refusal(outcome: Rehearsed) -> Refused:
    if outcome.verdict is Verdict.FAIL:
        message = tr("the rehearsal failed: {reason}", reason=outcome.text)
        hint = tr("choose other settings; or accept these: --force 'why they may be applied'")
    else:
        message = tr("the rehearsal was inconclusive: {reason}", reason=outcome.text)
        hint = tr("remove the cause; or run this command without --rehearse, or with --force 'why it may be done'")
    return Refused(message, hint=hint, lines=outcome.log)
