"""`verify`: check that the service is back at the level of the baseline."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atftctl import protocol
from atftctl.decide.verdicts.checklist import checklist
from atftctl.domain.facts import Process
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.since import Since
from atftctl.domain.verdict import EXIT_OF, Check, Verdict, overall
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.fingerprint import sha256_file
from atftctl.observe import configs
from atftctl.observe.log_files.errors import errors_since
from atftctl.observe.snapshots import catalog
from atftctl.observe.trainer_run import event_log, probes, process
from atftctl.operations.change.project_lock import locked
from atftctl.operations.confirm import by_verify
from atftctl.operations.project import Project, now, refuse_open, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol.messages import Message, tr
from atftctl.state import quarantine, verified
from atftctl.state.baseline import read_baseline
from atftctl.state.layout import Layout

SERVICE_WATCH_S = 10.0
HEADLINES = {
    Verdict.PASS: tr("verified: the service is back at the level of the baseline"),
    Verdict.FAIL: tr("not verified: a check failed"),
    Verdict.INCONCLUSIVE: tr("inconclusive: no check failed, but some could not be completed"),
}


@record
class CheckLine(Data):
    """One check.

    name: its name. verdict: `pass`, `fail` or `inconclusive`. detail: what was measured, or why not. figures: the
    numbers behind the verdict.
    """

    name: str
    verdict: str
    detail: str
    figures: Mapping[str, Any]


@record
class VerifyData(Data):
    """Data of `verify`.

    verdict: `pass`; `fail` where a check failed; otherwise `inconclusive`. checks: the checks of the checklist.
    """

    verdict: str
    checks: tuple[CheckLine, ...]


def not_passed(data: VerifyData) -> list[str]:
    """Return a line for each check that did not pass."""
    return [
        tr("{check}: {detail}", check=check.name, detail=check.detail)
        for check in data.checks
        if check.verdict != Verdict.PASS.value
    ]


def verify(project: Project, request: Request) -> Result:
    """Run the checklist. A pass marks the files that it checked as verified-good.

    Raises Refused for an unreadable config or baseline and for an unfinished operation, Inconclusive where the probes
    could not be run.
    """
    layout, runbook = project.layout, project.runbook
    watch = Stopwatch(request.report)
    files = configs.read_configs(layout.root, runbook.files.configs)
    require_readable(project, files)
    refuse_open(project)
    digest = configs.digest(files)
    baseline = read_baseline(project.layout)
    with watch.part("service"):
        service = _watch_service(project, process.observe(layout, runbook.trainer.command))
    with watch.part("probes"):
        measured = probes.probe(layout, runbook, "verify", baseline_configs=baseline["configs"] if baseline else None)
    _compare_memory(measured, baseline)
    measured |= {"service": service, "errors": _errors(project)}
    running = process.observe(layout, runbook.trainer.command)
    checks = checklist(measured, baseline, running, runbook.checks, digest, runbook.metrics)
    verdict = overall(checks)
    if verdict is Verdict.PASS:
        before = {path: config.sha256 for path, config in files.items() if config.sha256}
        lines = _mark(project, before, digest, measured, {check.name: check.detail for check in checks}, request)
    else:
        lines = _next(checks, measured, baseline, running)
    return Result(
        "verify",
        EXIT_OF[verdict],
        HEADLINES[verdict],
        data=VerifyData(verdict.value, tuple(_line(check) for check in checks)),
        lines=lines,
        parts=tuple(watch.parts),
        contacts=project.contacts if verdict is Verdict.FAIL else (),
    )


def _next(
    checks: Sequence[Check], measured: Mapping[str, Any], baseline: Mapping[str, Any] | None, running: Process
) -> tuple[Message, ...]:
    """Say what to do after a failed or an inconclusive checklist."""
    if overall(checks) is Verdict.FAIL:
        return (tr("next: to undo the last operation: atftctl undo; to list all operations: atftctl history"),)
    lines = []
    if baseline is None:
        lines.append(tr("record a baseline first: atftctl baseline record"))
    elif _other_identity(measured, baseline):
        lines.append(tr("record the baseline again: atftctl baseline record"))
    if not running.alive:
        lines.append(tr("start the trainer first: atftctl trainer start"))
    return (*lines, tr("next: atftctl verify")) if lines else (tr("next: run atftctl verify again in a few minutes"),)


def _other_identity(measured: Mapping[str, Any], baseline: Mapping[str, Any]) -> bool:
    """Was the baseline measured on other data, labels or evaluation code?"""
    rankic = measured.get("rankic") or {}
    return bool(rankic) and not rankic.get("error") and rankic.get("identity") != baseline["rankic"]["identity"]


def _compare_memory(measured: dict[str, Any], baseline: dict[str, Any] | None) -> None:
    """Add the ratio of peak memory to the recorded one: unlike time, it does not depend on how busy the machine is."""
    cost = measured.get("cost") or {}
    if baseline and not cost.get("error"):
        ratio = cost["memory_mb"] / baseline["cost"]["memory_mb"]
        cost |= {"memory_mb_ratio": ratio, "memory_mb_ratio_lower": ratio}


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
    rows = event_log.last_metrics(project.layout.root, 1)
    return int(rows[-1]["step"]) if rows and rows[-1].get("step", "").isdigit() else None


def _errors(project: Project) -> dict[str, Any] | None:
    """Return the error lines of the log, and the fatal events, since the last start; None where there was no start."""
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
    lines += errors_since(project.layout, project.runbook.logs, record, Since("start")).tally.latest
    return {"lines": lines, "since": record.started_at.replace("T", " ")[:19]}


def _mark(
    project: Project,
    before: dict[str, str],
    config_digest: str,
    measured: dict[str, Any],
    checks: dict[str, str],
    request: Request,
) -> tuple[str, ...]:
    """Mark exactly what was checked as verified-good; return lines that say what to do next.

    Marked are the configs that were read and the model file that was evaluated, also where the trainer has replaced it.
    """
    layout, model = project.layout, measured["model"]
    checked = {**before, model["path"]: model["sha256"]}
    current = {path: sha256_file(resolve_inside(layout.root, path)) for path in checked}
    if any(current[path] != digest for path, digest in before.items()):
        return (
            tr("a config was changed during the check: nothing was marked as verified-good"),
            tr("next: atftctl verify"),
        )
    with locked(project, "verify", request):
        verified.mark_verified(layout, checked, checks, now())
        if quarantine.reason(layout, config_digest):
            quarantine.lift(layout, config_digest, "verify passed", now())
        confirmed = by_verify(project, request)
    return (*confirmed, *_marked(layout, checked, replaced=current[model["path"]] != model["sha256"]))


def _marked(layout: Layout, checked: Mapping[str, str], *, replaced: bool) -> tuple[Message, ...]:
    """Say what the mark means. `checked`: SHA-256 by path, the model last. `replaced`: the trainer has replaced it."""
    snapshots = [snapshot for snapshot in catalog.list_snapshots(layout) if _holds(snapshot.digests(), checked)]
    if snapshots:
        return (
            tr("snapshot {id} has exactly these files: it is verified-good now", id=snapshots[-1].id),
            tr("next: atftctl reenable --phase N"),
        )
    if replaced:
        path = [*checked][-1]
        return (
            tr("the trainer replaced {path} during the check: the new file was not checked", path=path),
            tr("next: atftctl backup, then atftctl verify; after it that snapshot is verified-good"),
        )
    return (tr("next: atftctl backup (that snapshot is verified-good), then atftctl reenable --phase N"),)


def _holds(digests: Mapping[str, str], checked: Mapping[str, str]) -> bool:
    return checked.items() <= digests.items()


def _line(check: Check) -> CheckLine:
    return CheckLine(check.name, check.verdict.value, check.detail, _figures(check.figures.items()))


def _figures(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the plain values among the figures: lists and mappings would fill the screen."""
    return {key: value for key, value in items if isinstance(value, bool | int | float | str)}
