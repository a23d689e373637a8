"""`watch`: look at the trainer again and again, and say what changes; roll back where that is asked for and earned."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import field, replace

from atftctl.decide.diagnosis.detector_states import State
from atftctl.domain.acting import Decision, Mode
from atftctl.domain.errors import Busy
from atftctl.domain.record import record
from atftctl.domain.result import Data, Reporter, Result
from atftctl.domain.run_rows import Row
from atftctl.domain.watching import Look
from atftctl.observe.metrics.source import rows_of_run
from atftctl.operations.monitoring import earned
from atftctl.operations.monitoring.acting import consider
from atftctl.operations.monitoring.acting_lines import Speaker
from atftctl.operations.monitoring.diagnose import data_of, headline
from atftctl.operations.monitoring.diagnosis_data import DiagnoseData
from atftctl.operations.monitoring.watch_keeping import Keeper, only_watcher, read_state
from atftctl.operations.monitoring.watch_lines import Teller, WatchLine, exit_code, verdict_of
from atftctl.operations.monitoring.watch_metrics import MetricsWriter
from atftctl.operations.monitoring.watcher import Watcher
from atftctl.operations.project import Project
from atftctl.protocol.messages import tr
from atftctl.state import process_record

INTERVAL_S = 0.5


@record
class Seen:
    """One look. `lines`: what it has to say. `rows`: the rows that it read. `verdict`: in one line. `detectors`: what
    each is doing. `decision`: about the look before, None at first."""

    look: Look
    lines: tuple[WatchLine, ...]
    rows: Sequence[Row] = ()
    verdict: str = ""
    detectors: Mapping[str, State] = field(default_factory=dict)
    decision: Decision | None = None


@record
class WatchData(Data):
    """Data of `watch --once`.

    verdict: `healthy`, `fault` or `inconclusive`. sees: false where the watcher can't see whether the trainer is well.
    blind: why, or null. alarms: what the detectors said since the last look of a watcher. evaluations: that this run of
    the trainer has finished. kept: whether the next look goes on from here. actions: what was done, or would have been.
    diagnosis: as that of `diagnose`; null without a trainer.
    """

    verdict: str
    sees: bool
    blind: str | None
    alarms: tuple[str, ...]
    evaluations: int
    kept: bool
    actions: tuple[str, ...]
    diagnosis: DiagnoseData | None


def watch(
    project: Project,
    report: Reporter,
    interval_s: float = INTERVAL_S,
    mode: Mode = "propose",
    *,
    again: bool = False,
    metrics: MetricsWriter | None = None,
) -> Generator[Seen, None, None]:
    """Yield a look every `interval_s` seconds, and act on it as `mode` says. Ends only when it is closed, or
    interrupted. again: a person has looked; see `earned.allow_again`. metrics: writes the state beside it. Raises Busy
    where another watcher runs."""
    command = "watch" if mode == "propose" else f"watch --{mode}"
    with only_watcher(project.layout, report, command) as alone:
        mode = mode if alone else "propose"
        if again and alone:
            earned.allow_again(project.layout)
        state, damage = read_state(project.layout)
        watcher, keeper = Watcher(project, report, state, interval_s), Keeper(project, interval_s)
        teller = Teller(project)
        speaker = Speaker(teller, mode)
        notes, decision = [damage] if damage else [], None
        try:
            while True:
                look = watcher.look()
                notes += filter(None, [keeper.keep(watcher.state, look)])
                said = tuple(teller.line(look, "note", note) for note in notes)
                notes.clear()
                seen = Seen(look, (*said, *teller.lines(look)), watcher.newest, teller.verdict_text(look),
                            watcher.detectors, decision)  # fmt: skip
                yield seen
                decision = consider(project, look, report, mode)
                if acted := speaker.lines(look, decision):
                    yield replace(seen, lines=acted, rows=(), decision=decision)
                if metrics:
                    notes += filter(None, [metrics.write(now=bool(seen.lines or acted))])
                time.sleep(interval_s)
        finally:
            keeper.close(watcher.state)
            watcher.close()


def once(
    project: Project,
    report: Reporter,
    mode: Mode = "propose",
    *,
    again: bool = False,
    metrics: MetricsWriter | None = None,
) -> Result:
    """Look once, and act on it as `mode` says. Where a watcher runs, its state is used, and not written; then this one
    only proposes. again, metrics: as for `watch`."""
    try:
        with only_watcher(project.layout, report) as alone:
            if again and alone:
                earned.allow_again(project.layout)
            result = _once(project, report, mode if alone else "propose", keep=True)
    except Busy as busy:
        report.note(busy.message)
        result = _once(project, report, "propose", keep=False)
    if problem := metrics and metrics.write(now=True):
        report.note(problem)
    return result


def _once(project: Project, report: Reporter, mode: Mode, *, keep: bool) -> Result:
    state, damage = read_state(project.layout)
    watcher, keeper, teller = Watcher(project, report, state), Keeper(project), Teller(project)
    try:
        report.part("metrics")
        look = watcher.look()
        problem = keeper.keep(watcher.state, look, now=True) if keep else None
    finally:
        keeper.close(None)
        watcher.close()
    for note in filter(None, [damage, problem]):
        report.note(note)
    acted = Speaker(teller, mode).lines(look, consider(project, look, report, mode))
    verdict, seen, found = verdict_of(look), watcher.seen, watcher.found
    diagnosis = (
        data_of(project, seen.since, seen, found, look.diagnosis, watcher.uncompared) if seen and found else None
    )
    text = teller.verdict_text(look) if look.blind or not (diagnosis and seen) else headline(diagnosis, seen)
    alarms = tuple(str(finding.text) for finding in look.findings)
    data = WatchData(verdict, look.sees, look.blind or None, alarms, look.evaluations, keep and not problem,
                     tuple(line.text for line in acted), diagnosis)  # fmt: skip
    code = exit_code(verdict)
    contacts = project.contacts if verdict == "fault" else ()
    lines = (*(tr("alarm: {text}", text=finding.text) for finding in look.findings), *(line.text for line in acted))
    return Result("watch", code, text, lines=lines, data=data, contacts=contacts)


def rows_so_far(project: Project) -> Sequence[Row]:
    """The rows of the recorded run, thinned, for curves."""
    run, rules = process_record.read(project.layout), project.runbook.metrics
    if run is None:
        return ()
    columns = tuple(dict.fromkeys(rules.roles.values()))
    return rows_of_run(project.layout, columns, run.metrics_since, generation=run.generation).rows
