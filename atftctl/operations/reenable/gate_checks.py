"""The checks of a gate, made by `verify`."""

from __future__ import annotations

import time
from collections.abc import Iterable

from atftctl.decide.verdicts import gate as verdicts
from atftctl.domain.checkpoint import is_pattern
from atftctl.domain.checks import title_of
from atftctl.domain.errors import AtftError, Interrupted
from atftctl.domain.gate import MODEL, QUALITY
from atftctl.domain.verdict import Check, Verdict
from atftctl.observe.checkpoints import patterns
from atftctl.observe.metrics.text_rows import metrics_since
from atftctl.observe.trainer_run import process
from atftctl.operations.reenable.run import PhaseRun
from atftctl.operations.verification.checklist import CheckLine, VerifyData, verify
from atftctl.protocol.messages import tr
from atftctl.state import reenable as store
from atftctl.state.layout import Layout

POLL_S = 0.5
CHECKPOINT_S = 300.0  # how long the next checkpoint is awaited


def measure(run: PhaseRun) -> list[Check]:
    """Run the checks that the gate asks for. A check that could not be made is inconclusive, never a pass.

    Quality is that of the last checkpoint: the best one stays what it is where a phase makes quality worse.
    """
    gate = run.rule.gate
    if gate.quality:
        _await_checkpoint(run)
    names = dict.fromkeys([*gate.checks, *([QUALITY, MODEL] if gate.quality else [])])
    if not names:
        return []
    try:
        result = verify(run.project, run.request, only=tuple(names), newest=bool(gate.quality))
    except Interrupted:
        raise
    except AtftError as error:
        return [Check("verify", Verdict.INCONCLUSIVE, error.message)]
    assert isinstance(result.data, VerifyData)
    made = {line.name: _check(line) for line in result.data.checks}
    checks = [made.get(name) or _missing(name) for name in gate.checks]
    if gate.quality:
        compared = made.get(QUALITY) or _missing(QUALITY)
        before, step = run.phase.view.models, _needed_step(run)
        checks.append(verdicts.quality(compared, made.get(MODEL), before, gate.quality, step))
    return checks


def _await_checkpoint(run: PhaseRun) -> None:
    """Wait for a checkpoint with all steps of the gate: for the next one from now on, for a limited time, as long as
    the trainer runs and nobody ends the phase. It is there once it has not changed from one look to the next: a trainer
    of any kind may write it in place."""
    wanted = run.project.runbook.checkpoints.last
    deadline = time.monotonic() + min(run.rule.gate.window_s, CHECKPOINT_S)
    first = before = _written(run.layout, wanted)
    run.request.report.note(tr("{place}: waiting for the next {path}", place=run.place, path=wanted))
    while time.monotonic() < deadline:
        now = _written(run.layout, wanted)
        if now == before != first or store.read_halt(run.layout) or run.ended_by_other() or not _alive(run):
            return
        before = now
        time.sleep(POLL_S)


def _alive(run: PhaseRun) -> bool:
    return process.observe(run.layout, run.project.runbook.trainer).alive


def _written(layout: Layout, wanted: str) -> tuple[object, ...]:
    """Which checkpoint is the last one, and when it was written: of a folder, what lies in it. `wanted`: a path or a
    pattern. Empty where there is none."""
    name = patterns.newest(layout, wanted) if is_pattern(wanted) else wanted
    path = layout.root / name
    try:
        inside = sorted(path.iterdir()) if path.is_dir() else []
        facts = [place.lstat() for place in (path, *inside)]
    except OSError:
        return ()
    return name, *((each.st_ino, each.st_mtime_ns, each.st_size) for each in facts)


def _needed_step(run: PhaseRun) -> int | None:
    """The step that a model must have reached to show all steps of the gate; None where it is not known."""
    view = run.phase.view
    rows = metrics_since(run.layout, view.metrics_since) if view.run_id else []
    first = rows[0].get("step", "") if rows else ""
    return int(first) + run.rule.gate.steps - 1 if first.isdigit() else None


def _check(line: CheckLine) -> Check:
    """The line as a check; an inconclusive one also says what to do."""
    detail = tr("{detail}; {hint}", detail=line.detail, hint=line.hint) if line.hint else line.detail
    return Check(line.title or line.name, Verdict(line.verdict), detail, line.figures)


def _missing(name: str) -> Check:
    return Check(title_of(name), Verdict.INCONCLUSIVE, tr("not measured"))


def failed(checks: Iterable[Check]) -> list[Check]:
    """The checks that did not pass, or all where all did."""
    checks = list(checks)
    return [check for check in checks if check.verdict is not Verdict.PASS] or checks
