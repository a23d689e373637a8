"""`verify`: check that the service is back at the level of the baseline."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import field
from typing import Any

from atftctl import protocol
from atftctl.decide.verdicts import quality as qualities
from atftctl.decide.verdicts.checklist import checklist
from atftctl.domain import missing_parts
from atftctl.domain.checks import CHECKS, parts_of, title_of
from atftctl.domain.errors import UsageError
from atftctl.domain.facts import Process
from atftctl.domain.probe_answer import read
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.since import Since
from atftctl.domain.text import nearest
from atftctl.domain.verdict import EXIT_OF, Check, Verdict, overall
from atftctl.observe import configs
from atftctl.observe.log_files.errors import errors_since
from atftctl.observe.metrics.text_rows import last_metrics
from atftctl.observe.trainer_run import event_log, process
from atftctl.observe.trainer_run.measuring import MeasureRequest, measuring
from atftctl.operations.project import Project, refuse_open, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.verification.from_run import from_run
from atftctl.operations.verification.marking import keep_failure, mark
from atftctl.protocol import is_number
from atftctl.protocol.messages import Message, tr
from atftctl.state import history
from atftctl.state.baseline import read_baseline

SERVICE_WATCH_S = 10.0
LOG_LIMIT = 512 << 20  # bytes of a log since the last start that are searched; they take about half a minute
QUICK_STEPS, QUICK_PAIRS = 6, 120
HEADLINES = {
    Verdict.PASS: tr("verified: the service is back at the level of the baseline"),
    Verdict.FAIL: tr("not verified: a check failed"),
    Verdict.INCONCLUSIVE: tr("inconclusive: no check failed, but some could not be completed"),
}


@record
class CheckLine(Data):
    """One check.

    name: its name, as `--check` takes it. title: the name for people. verdict: `pass`, `fail` or `inconclusive`.
    detail: what was measured, or why not. figures: the numbers behind the verdict. hint: what to do where it is
    inconclusive. log: the end of the log of a probe that crashed, hung or was killed.
    """

    name: str
    verdict: str
    detail: str
    figures: Mapping[str, Any]
    title: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()


@record
class VerifyData(Data):
    """Data of `verify`.

    verdict: `pass`; `fail` where a check failed; otherwise `inconclusive`. checks: the checks that were made, in the
    order of the checklist. skipped: the names of those that were not asked for, or that `--quick` leaves out; with any
    of them, a pass marks nothing as verified-good. quick: whether less data and fewer steps were measured.
    pair_by: what the values of quality are paired by: `date`, `example`, `none`; empty where there are none. quality:
    the quality of the model in service by date, by example, or by number. baseline_quality: that of the baseline,
    where both can be compared.
    """

    verdict: str
    checks: tuple[CheckLine, ...]
    skipped: tuple[str, ...] = ()
    quick: bool = False
    pair_by: str = ""
    quality: Mapping[str, float] = field(default_factory=dict)
    baseline_quality: Mapping[str, float] = field(default_factory=dict)


def lines_of(data: VerifyData) -> list[Message]:
    """Return a line for each check."""
    marks = {"pass": tr("ok"), "fail": tr("FAILED"), "inconclusive": tr("not known")}
    return [tr("{mark}: {line}", mark=marks[check.verdict], line=_line_of(check)) for check in data.checks]


def not_passed(data: VerifyData) -> list[str]:
    """Return a line for each check that did not pass."""
    return [_line_of(check) for check in data.checks if check.verdict != Verdict.PASS.value]


def _line_of(check: CheckLine) -> Message:
    return tr("{check}: {detail}", check=check.title or check.name, detail=check.detail)


def verify(
    project: Project, request: Request, *, only: Sequence[str] = (), quick: bool = False, newest: bool = False
) -> Result:
    """Run the checklist. A pass of the whole checklist marks the files that it checked as verified-good.

    `only`: the names of the checks to make; all for none. `quick`: on less data, with fewer steps, and without the
    checks that take long. `newest`: of the last checkpoint, which is not in service: nothing is marked. Raises
    UsageError for an unknown name, Refused for an unreadable config or baseline and for an unfinished operation.
    """
    names = chosen(only, quick=quick)
    layout, runbook = project.layout, project.runbook
    watch = Stopwatch(request.report)
    files = configs.read_configs(layout.root, runbook.files)
    require_readable(project, files)
    refuse_open(project)
    digest = configs.digest(files)
    baseline = read_baseline(project.layout)
    measured = _measure(project, names, baseline, digest, watch, quick=quick, newest=newest)
    running = process.observe(layout, runbook.trainer)
    checks = checklist(measured, baseline, running, runbook.checks, digest, runbook.metrics, names)
    verdict = overall(checks)
    curves = _curves(measured.get("quality"), baseline, project)
    skipped = tuple(name for name in CHECKS if name not in names)
    data = VerifyData(verdict.value, tuple(_line(check, project) for check in checks), skipped, quick, *curves)
    if verdict is Verdict.PASS and not (data.skipped or quick or newest):
        before = {path: config.sha256 for path, config in files.items() if config.sha256}
        details = {check.name: check.detail for check in checks}
        lines = mark(project, before, digest, measured["model"], details, request)
    else:
        if verdict is Verdict.FAIL and not newest:
            keep_failure(project, files, checks)
        lines = _next(project, verdict, data)
    return Result(
        "verify",
        EXIT_OF[verdict],
        _headline(verdict, data),
        data=data,
        lines=lines,
        parts=tuple(watch.parts),
        contacts=project.contacts if verdict is Verdict.FAIL else (),
    )


def chosen(only: Sequence[str], *, quick: bool) -> tuple[str, ...]:
    """Return the names of the checks to make, in the order of the checklist. Raises UsageError for an unknown name, and
    where nothing is left to check."""
    for name in only:
        if name not in CHECKS:
            raise UsageError(tr("there is no check {name!r}", name=name), hint=nearest(name, CHECKS))
    names = tuple(name for name in CHECKS if (not only or name in only) and (CHECKS[name].cheap or not quick))
    if not names:
        raise UsageError(
            tr("--quick leaves out this check: {names}", names=", ".join(only)),
            hint=tr("run this command again without --quick"),
        )
    return names


def _measure(
    project: Project,
    names: Sequence[str],
    baseline: Mapping[str, Any] | None,
    digest: str,
    watch: Stopwatch,
    *,
    quick: bool,
    newest: bool,
) -> dict[str, Any]:
    """Return what was measured by part, `service` and `errors`. The service is watched while the probe starts."""
    measured: dict[str, Any] = {}
    parts = parts_of(tuple(names))
    if not project.runbook.trainer.probe:
        measured |= {part: {"missing": missing_parts.no_probe(), "no_probe": True, "none": True} for part in parts}
    steps = QUICK_STEPS if quick else project.runbook.checks.probe_steps
    wanted = MeasureRequest(
        parts, steps, QUICK_PAIRS if quick else 0, baseline["configs"] if baseline else None, newest
    )
    asked = bool(parts and project.runbook.trainer.probe)
    with measuring(project.layout, project.runbook, wanted) if asked else nullcontext() as probe:
        if "service" in names:
            with watch.part("service"):
                running = process.observe(project.layout, project.runbook.trainer)
                measured["service"] = _watch_service(project, running)
        if probe:
            with watch.part("probes"):
                measured |= probe.collect()
    measured |= from_run(project, digest, measured, parts, baseline, newest=newest)
    return measured | {"errors": _errors(project)} if "errors" in names else measured


def _headline(verdict: Verdict, data: VerifyData) -> Message:
    if verdict is not Verdict.PASS or not (data.skipped or data.quick):
        return HEADLINES[verdict]
    if data.quick:
        return tr("the quick checks passed; nothing is marked as verified-good")
    return tr("these checks passed; nothing is marked as verified-good, because the others were not made")


def _next(project: Project, verdict: Verdict, data: VerifyData) -> tuple[Message, ...]:
    """Say what to do after a checklist that marked nothing."""
    if verdict is Verdict.FAIL and not any(entry.get("files") for entry in history.read(project.layout)):
        return (tr("next: see what the trainer wrote: atftctl logs --errors"),)
    if verdict is Verdict.FAIL:
        return (tr("next: to undo the last operation: atftctl undo; to list all operations: atftctl history"),)
    if verdict is Verdict.PASS:
        return (tr("next: atftctl verify, which makes all checks and marks these files as verified-good"),)
    if any(check.hint for check in data.checks):
        return (tr("next: do what is said below each inconclusive check, then run: atftctl verify"),)
    return (tr("next: run atftctl verify again in a few minutes"),)


def _watch_service(project: Project, running: Process) -> dict[str, Any] | None:
    """Count the steps that the running trainer takes within ten seconds, at most three; None where none is running."""
    if not running.alive:
        return None
    first = _step(project)
    begun = time.monotonic()
    while time.monotonic() - begun < SERVICE_WATCH_S:
        time.sleep(0.1)
        latest = _step(project)
        if latest is not None and (first is None or latest >= first + 3):
            break
    latest = _step(project)
    return {"steps": (latest or 0) - (first or 0), "seconds": time.monotonic() - begun}


def _step(project: Project) -> int | None:
    """Return the last step in the metrics; None where there is none."""
    record = process.read_record(project.layout)
    rows = last_metrics(project.layout, 1, record)
    return int(rows[-1]["step"]) if rows and rows[-1].get("step", "").isdigit() else None


def _errors(project: Project) -> dict[str, Any] | None:
    """Return the error lines of the logs, and the fatal events, since the last start; `unread`: what could not be
    searched. None where there was no start."""
    record = process.read_record(project.layout)
    if record is None:
        return None
    events = list(
        event_log.events(
            project.layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id
        )
    )
    lines = [
        f"{event['event']}: {event.get('message') or event.get('reason') or event.get('quantity', '')}"
        for event in events
        if event["event"] in (protocol.OOM, protocol.ANOMALY) and not event.get("recoverable")
    ]
    survey = errors_since(project.layout, project.runbook.logs, record, Since("start"), limit=LOG_LIMIT)
    lines += survey.tally.latest
    return {"lines": lines, "unread": survey.unread, "since": record.started_at.replace("T", " ")[:19]}


def _curves(
    part: object, baseline: Mapping[str, Any] | None, project: Project
) -> tuple[str, dict[str, float], dict[str, float]]:
    """Return what quality is paired by, its values now, and those of the baseline; the latter only where both can be
    compared."""
    answer, before = read("quality", part), read("quality", (baseline or {}).get("quality"))
    pair_by = qualities.paired_by(answer, before, project.runbook.checks)
    now = _numbers(qualities.values_of(answer, pair_by))
    comparable = bool(now) and answer.get("identity") == before.get("identity") and answer.of_run == before.of_run
    return pair_by if now else "", now, _numbers(qualities.values_of(before, pair_by)) if comparable else {}


def _numbers(values: Mapping[str, Any] | Sequence[Any]) -> dict[str, float]:
    """The finite numbers by key; of a list by their number, so that they sort."""
    if isinstance(values, Mapping):
        items: Iterable[tuple[str, Any]] = values.items()
    else:
        items = ((f"{number:06}", value) for number, value in enumerate(values, start=1))
    return {str(key): float(value) for key, value in items if is_number(value)}


def _line(check: Check, project: Project) -> CheckLine:
    metrics = project.runbook.metrics
    title = metrics.title(metrics.quality) if check.name == "quality" and metrics.quality else title_of(check.name)
    figures = _figures(check.figures.items())
    return CheckLine(check.name, check.verdict.value, check.detail, figures, title, check.hint, check.log)


def _figures(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the plain values among the figures: lists and mappings would fill the screen."""
    return {key: value for key, value in items if isinstance(value, bool | int | float | str)}
