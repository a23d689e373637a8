"""What the run itself tells of the parts of the checklist, where no probe measures them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from atftctl.decide.detectors import bank, cusum, explosion, non_finite
from atftctl.domain.checkpoint import Checkpoint, Ladder
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.run_rows import Row
from atftctl.host.errors import HostError, reason
from atftctl.host.process import table as procs
from atftctl.observe.checkpoints import ladder as ladders
from atftctl.observe.log_files.errors import started_at
from atftctl.observe.metrics.lineage import Lineage, lineage, rows_of
from atftctl.operations.project import Project
from atftctl.protocol.messages import Message, tr
from atftctl.state import process_record
from atftctl.state.engines.choice import engine_of

CLOCK_S = 1.0  # of a file system whose times are whole seconds, as that of the start is
SOURCE = {"source": "metrics"}
LEAST_BACKWARD = 3
NEWEST = 200  # values of quality, and of the time of a step, that are kept
FATAL = (non_finite.NAME, explosion.NAME, cusum.NAME)  # detectors whose alarm is a fault of the training


@dataclass
class _Seen:
    """What the rows of the run hold so far. `rows`: of the running trainer; the rest also of those it goes on from."""

    rows: int = 0
    loss: float | None = None
    memory: float = 0.0
    step: int = 0
    backward: int = 0  # rows whose step is before that of the row above
    norms: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST))
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST))
    quality: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=NEWEST))


def measured(
    project: Project, digest: str, parts: Collection[str], *, since: int = 0, newest: bool = False
) -> dict[str, dict[str, Any]]:
    """Return the answers of these parts, as a probe would give them, from what the run with the settings of this digest
    wrote. `since`: the step from which on evaluations count. `newest`: of the last checkpoint, not of the best one.
    What is not known is missing; `problem` says why."""
    if not parts:
        return {}
    answers: dict[str, dict[str, Any]] = {part: dict(SOURCE) for part in parts}
    if "model" in answers:
        answers["model"] |= _model(project, digest, newest=newest)
    others = [part for part in answers if part != "model"]
    if not others:
        return answers
    try:
        seen, alarms, known = _read(project, digest, since)
    except _UnknownError as error:
        for part in others:
            answers[part]["problem"] = error.why
        return answers
    told = {
        "dataset": {"rows": seen.rows},
        "training": {**_memory_now(project), **_training(seen, alarms)},
        "steps": {"seconds": [*seen.seconds]} if seen.seconds else {},
        "quality": _quality(project, seen, known),
    }
    for part in others:
        answers[part] |= told[part]
    return answers


class _UnknownError(Exception):
    """Nothing is known of the run."""

    def __init__(self, why: Message) -> None:
        super().__init__(why)
        self.why = why


def _read(project: Project, digest: str, since: int) -> tuple[_Seen, tuple[str, ...], Lineage]:
    """Read the rows of the run and of those that it goes on from. Raises _UnknownError."""
    run = process_record.read(project.layout)
    if run is None:
        raise _UnknownError(tr("atftctl has not started a trainer here"))
    known = lineage(project.layout, run, digest)
    if known is None:
        raise _UnknownError(tr("the last trainer had other settings than the config files"))
    rules, state, seen = bank.rules_of(project.runbook), bank.State(), _Seen()
    columns = tuple(filter(None, dict.fromkeys((*rules.columns, project.runbook.metrics.quality))))
    try:
        for row in rows_of(project.layout, known, columns):
            if row.generation in (0, known.generation):
                seen.rows += 1
                state, _ = bank.take(rules, state, row)
            _take(seen, project.runbook.metrics, row, since)
    except (OSError, HostError) as error:
        raise _UnknownError(tr("the metrics can't be read: {reason}", reason=reason(error))) from None
    if seen.backward >= LEAST_BACKWARD and seen.backward * 10 >= seen.rows:
        raise _UnknownError(
            tr("the step of the metrics goes back {count} times: do two runs write into one file?", count=seen.backward)
        )
    own = tuple(project.runbook.detectors)
    return seen, tuple(name for name in bank.active(rules, state) if name in (*FATAL, *own)), known


def _take(seen: _Seen, metrics: Metrics, row: Row, since: int) -> None:
    again = bool(seen.quality) and seen.quality[-1][0] == row.step == seen.step  # two loggers, or a value repeated
    seen.backward += row.step < seen.step
    seen.step = row.step
    if (loss := row.values.get(metrics.loss)) is not None:
        seen.loss = loss
    if (norm := row.values.get(metrics.gradient)) is not None:
        seen.norms.append(norm)
    if (memory := row.values.get(metrics.memory)) is not None and math.isfinite(memory):
        seen.memory = max(seen.memory, memory)
    if (seconds := row.values.get(metrics.step_time)) is not None and math.isfinite(seconds) and seconds > 0:
        seen.seconds.append(seconds)
    if (quality := row.values.get(metrics.quality)) is not None and row.step >= since:
        if again:
            seen.quality.pop()
        seen.quality.append((row.step, quality))


def _training(seen: _Seen, alarms: tuple[str, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {"rows": seen.rows, "alarms": list(alarms), "steps": seen.step}
    if seen.loss is not None:
        told["loss"] = seen.loss
    if seen.norms:
        told["grad_norm"] = median(seen.norms)
    if seen.memory:
        told["memory_mb"] = seen.memory
    return told


def _memory_now(project: Project) -> dict[str, Any]:
    """The memory of the run's processes, where the runbook names no column that tells it: not the peak, but what they
    hold now, for the baseline as for the comparison."""
    run = process_record.read(project.layout)
    if project.runbook.metrics.memory or run is None:
        return {}
    held = [procs.anonymous_mb(pid) for pid in engine_of(run).members(project.layout, run)]
    total = math.fsum(filter(None, held))
    return {"memory_mb": round(total, 1)} if total else {}


def _quality(project: Project, seen: _Seen, known: Lineage) -> dict[str, Any]:
    if not seen.quality:
        return {}
    metrics = project.runbook.metrics
    on = {key: value for key, value in known.measured_on.items() if key != "losses"}
    return {
        "column": metrics.quality,
        "steps": [step for step, _ in seen.quality],
        "values": [value for _, value in seen.quality],
        **({"measured_on": on} if on else {}),
    }


def _model(project: Project, digest: str, *, newest: bool) -> dict[str, Any]:
    """The checkpoint that is in service: the best one, else the last one; the other way round for `newest`. One that
    the run has nothing to do with is taken only where there is no other: its figures say nothing about it."""
    rules = project.runbook.checkpoints
    names = (rules.last, rules.best) if newest else (rules.best, rules.last)
    ladder = ladders.ladder(project.layout, rules)
    present = [*ladder.rungs, *ladder.others]
    by_path = {checkpoint.path: checkpoint for checkpoint in present}
    ordered = dict.fromkeys([*(by_path[name] for name in names if name in by_path), *present])
    checkpoints = list(ordered)[: len(names)]
    if not checkpoints:
        return {"paths": ", ".join(dict.fromkeys(names))}
    own = _OwnModels(project, digest, ladder)
    chosen = next(filter(own.may_have, checkpoints), checkpoints[0])
    try:
        content = ladders.content(project.layout, chosen, ladder.saves)
    except (OSError, HostError) as error:
        return {"path": chosen.path, "damage": reason(error)}
    reported = any(save.sha256 == content.sha256 for save in ladder.saves)
    prefix = f"{chosen.path}/" if content.folder else chosen.path
    return {
        "path": chosen.path,
        "sha256": content.sha256,
        "damage": content.damage,
        "proven": content.proven or reported,
        "own": own.may_have(chosen) or own.reported(content.sha256),
        "files": {f"{prefix}{name}": digest for name, digest in content.files.items()},
        **({"step": chosen.step} if chosen.step is not None else {}),
    }


class _OwnModels:
    """Which checkpoints the recorded run has saved, or goes on from."""

    def __init__(self, project: Project, digest: str, ladder: Ladder) -> None:
        run = process_record.read(project.layout)
        known = lineage(project.layout, run, digest) if run else None
        self._began = started_at(run) if run else None
        self._resume = run.resume if run else ""
        self._rules = project.runbook.checkpoints
        self._saves = ladder.saves
        self._generations = {run.generation if run else 0, *(known.spans if known else ())} - {0}

    def may_have(self, checkpoint: Checkpoint) -> bool:
        """Was it written since the start, is it what the run started from, or has the run, or one that it goes on from,
        reported it?"""
        if self._began is None:
            return False
        named = {"best": self._rules.best, "last": self._rules.last}.get(self._resume, self._resume)
        since = checkpoint.saved >= self._began - CLOCK_S or named == checkpoint.path
        return since or checkpoint.generation in self._generations

    def reported(self, sha256: str) -> bool:
        """Has the run, or one that it goes on from, reported this hash?"""
        return any(save.sha256 == sha256 and save.generation in self._generations for save in self._saves)
