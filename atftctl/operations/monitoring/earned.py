"""Whether the watcher has earned to act by itself: what was shown, and what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from atftctl.decide.acting import earned as deciding
from atftctl.decide.diagnosis.replayed import Acted
from atftctl.domain.earned import Shown, Span
from atftctl.domain.errors import Refused
from atftctl.domain.result import Reporter
from atftctl.domain.watching import Look
from atftctl.host.errors import HostError, reason
from atftctl.host.self_copy import private_copy
from atftctl.operations.project import Project
from atftctl.protocol.messages import Message, tr, trn
from atftctl.state import acts, earned, history, process_record
from atftctl.state.layout import Layout

PER = 10_000  # steps that rates are given for
WRITTEN_EACH = 200  # steps that a shadow has watched


def shown(project: Project) -> Shown:
    """What was shown with the thresholds that the runbook has now."""
    spans = earned.read(project.layout).get(deciding.policy_digest(project.runbook), ())
    return deciding.shown_by(spans, deciding.faulty_generations(history.read(project.layout)))


def begin(project: Project, report: Reporter, *, trusted: bool, again: bool) -> None:
    """Before a watcher that acts: raises Refused unless that is earned, or `trusted`. Changes nothing. `again`: it will
    be allowed to act again. Every module is loaded now: our own code may be changed later."""
    if not trusted:
        require(project)
    memory = acts.read(project.layout)
    if memory.stopped and not again:
        text = tr("the watcher has called for a person, and only proposes: {reason}", reason=memory.stopped.why)
        report.note(text)
        report.note(tr("to let it act again: atftctl watch --auto --act-again"))
    private_copy.load_all()


def allow_again(layout: Layout) -> None:
    """A person has looked: the watcher may act after it had called for one, with a new budget. Call this as the one
    watcher: another one may be writing down what it does. Raises Refused, OSError, HostError."""
    acts.write(layout, replace(acts.read(layout), stopped=None, reset=time.time()))


def require(project: Project) -> None:
    """Raises Refused unless the watcher has earned to act: says what was shown, what is missing, and how to show it."""
    so_far = shown(project)
    if so_far.is_enough:
        return
    raise Refused(
        tr("acting is not earned yet: {summary}", summary=summary(so_far)),
        state=trn(
            "{count} more healthy step of this service's own runs is needed with these thresholds, without a false "
            "rollback",
            "{count} more healthy steps of this service's own runs are needed with these thresholds, without a false "
            "rollback",
            so_far.missing,
        ),
        hint=tr(
            "show it on past runs: atftctl replay logs/metrics.csv; or on the present one: atftctl watch --shadow; to "
            "insist: --trust-defaults"
        ),
    )


def summary(so_far: Shown) -> Message:
    """What was shown so far, in a sentence."""
    if not so_far.steps:
        return tr("nothing was shown with these thresholds")
    acts = trn("{count} false rollback", "{count} false rollbacks", so_far.acts)
    return tr(
        "{acts} in {steps:,} healthy steps, at most {rate:.2f} in 10,000 with 95 % confidence (needed: 1)",
        acts=acts, steps=so_far.steps, rate=PER * so_far.bound,
    )  # fmt: skip


def add_replay(project: Project, runs: Iterable[Acted]) -> tuple[Shown, tuple[str, ...]]:
    """Add what a replay has shown. Return what is shown in all, and why runs were left out or nothing could be
    written."""
    known, notes = generations(project.layout), list[str]()
    digest = deciding.policy_digest(project.runbook)
    before = spans = earned.read(project.layout).get(digest, ())
    foreign = 0
    for run in runs:
        if run.generation in known and _lies_inside(project.layout, run.name):
            span = Span("replay", run.generation, run.first, run.last, run.steps, run.false)
            spans = deciding.added(spans, span)
        else:
            foreign += 1
    if foreign:
        notes.append(
            trn("{count} run is not this service's own: it counts for no proof",
                "{count} runs are not this service's own: they count for no proof", foreign)
        )  # fmt: skip
    if [span.to_json() for span in spans] != [span.to_json() for span in before]:
        try:
            earned.write(project.layout, digest, tuple(spans))
        except (OSError, HostError) as error:
            notes.append(tr("what was shown can't be recorded: {reason}", reason=reason(error)))
    return deciding.shown_by(spans, deciding.faulty_generations(history.read(project.layout))), tuple(notes)


def _version(layout: Layout) -> tuple[int, ...]:
    """What changes when somebody has written what was shown."""
    try:
        facts = layout.earned.stat()
    except OSError:
        return ()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


@lru_cache(maxsize=1)
def _spans(layout: Layout, digest: str, version: tuple[int, ...]) -> tuple[Span, ...]:
    """What was shown; read again only where its file has changed: a shadow asks at each look."""
    del version
    return earned.read(layout).get(digest, ())


def generations(layout: Layout) -> frozenset[int]:
    """The numbers of the trainers that were started in this project, by its history and the record of the last one."""
    numbers = {int(entry.get("generation", 0)) for entry in history.read(layout)}
    record = process_record.read(layout)
    return frozenset(numbers | ({record.generation} if record else set())) - {0}


def _lies_inside(layout: Layout, name: str) -> bool:
    try:
        path = Path(name).resolve(strict=True)
    except OSError:
        return False
    return path.is_relative_to(layout.root.resolve())


def add_look(project: Project, look: Look, *, acts: bool, proof: bool) -> None:
    """Add what a shadow has watched. `acts`: it would have acted at this look; `proof`: by a fatal event, so that these
    steps were not healthy. Written each few hundred steps. Raises OSError, HostError."""
    if not look.sees or not look.generation or not look.step:
        return
    digest = deciding.policy_digest(project.runbook)
    spans = _spans(project.layout, digest, _version(project.layout))
    before = next((span for span in spans if (span.how, span.generation) == ("shadow", look.generation)), None)
    if before and not (acts or proof) and look.step - before.last < WRITTEN_EACH:
        return
    span = deciding.watched(before, look.generation, look.step, acts=int(acts and not proof), faulty=proof)
    others = tuple(known for known in spans if known is not before)
    earned.write(project.layout, digest, (*others, span))
