"""What a plan costs that goes back to an earlier checkpoint: the steps and the time of training that are given up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from atftctl.domain.branches import Run
from atftctl.domain.checkpoint import Ladder, common_step
from atftctl.domain.duration import about_text
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.runbook import Runbook
from atftctl.protocol.messages import Message, tr, trn


def changes_checkpoint(runbook: Runbook, plan: Plan) -> bool:
    """Does the plan have the trainer go on from anything else than its last checkpoint as it is?"""
    replaced = any(runbook.checkpoints.hold(target.path) for target in plan.targets)
    return replaced or bool(plan.start and plan.start.resume != "last")


def cost_of(runbook: Runbook, plan: Plan, facts: Facts, ladder: Ladder) -> Message | None:
    """Return the sentence that says what is given up; None where no training is known that could be."""
    reached = max([facts.process.step or 0, *(rung.step or 0 for rung in ladder.rungs[:1])])
    if not reached:
        return None
    back, generation = _place_of(runbook, plan, ladder)
    if back is None:
        return tr(
            "how many training steps the way back gives up is not known: nothing says at which step its checkpoint "
            "was saved (now: step {step})",
            step=reached,
        )
    now = facts.process.generation or next((rung.generation for rung in ladder.rungs), 0)
    common = common_step(ladder.runs, (now, reached), (generation, back))
    is_rung = any((rung.step, rung.generation) == (back, generation) for rung in ladder.rungs)
    if not is_rung and common is not None and common < min(back, reached):
        return trn(
            "the way back gives up {count} training step, which was taken since step {common}, and goes on from step "
            "{back} of another run",
            "the way back gives up {count} training steps, which were taken since step {common}, and goes on from step "
            "{back} of another run",
            reached - common,
            common=common,
            back=back,
        )
    steps = reached - back
    if steps <= 0:
        return tr("the way back gives up no training steps")
    step_s = seconds_a_step(ladder.runs, back, reached)
    if step_s is None:
        return trn(
            "the way back gives up {count} training step, from step {now} to step {back}",
            "the way back gives up {count} training steps, from step {now} to step {back}",
            steps,
            now=reached,
            back=back,
        )
    return trn(
        "the way back gives up {count} training step, from step {now} to step {back}: about {time} of training",
        "the way back gives up {count} training steps, from step {now} to step {back}: about {time} of training",
        steps,
        now=reached,
        back=back,
        time=about_text(steps * step_s),
    )


def _place_of(runbook: Runbook, plan: Plan, ladder: Ladder) -> tuple[int | None, int]:
    """The step of the checkpoint that the trainer goes on from, None where it is not known; and its generation, 0 where
    that is not."""
    rules = runbook.checkpoints
    chosen = str(plan.facts.get("checkpoint_step", ""))
    if chosen.isdigit():
        path = str(plan.facts.get("checkpoint", ""))
        return int(chosen), next((known.generation for known in ladder.all if known.path == path), 0)
    resume = plan.start.resume if plan.start else "last"
    if resume == "scratch":
        return 0, 0
    path = rules.best if resume == "best" else rules.last
    digest = next((target.new for target in plan.targets if target.path == path), None)
    if digest:
        saves = reversed(ladder.saves)
        return next(((save.step, save.generation) for save in saves if save.sha256 == digest), (None, 0))
    return next(((known.step, known.generation) for known in ladder.all if known.path == path), (None, 0))


def seconds_a_step(runs: Sequence[Run], back: int, reached: int) -> float | None:
    """Return how long a step between these two took, by the times of the events; None where none is known. Pauses
    between two runs do not count."""
    steps, seconds = 0, 0.0
    for run in runs:
        for (step, time), (later, then) in pairwise(run.times):
            if later > step and then >= time and later > back and step < reached:
                steps += later - step
                seconds += then - time
    return seconds / steps if steps else None
