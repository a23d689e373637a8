"""`verify` and `baseline record`: is the service back at the level of before?"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from atftctl import protocol
from atftctl.decide.verdicts.checklist import checklist
from atftctl.domain.facts import Process
from atftctl.domain.result import Result
from atftctl.domain.verdict import EXIT_OF, Check, Verdict, overall
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.fingerprint import sha256_file
from atftctl.host.files.logs import tail
from atftctl.observe import configs
from atftctl.observe.snapshots import catalog
from atftctl.observe.trainer_run import event_log, probes, process
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, refuse_open, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.state import quarantine, verified
from atftctl.state import quarantine as kept_quarantine
from atftctl.state.baseline import read_baseline

SERVICE_WATCH_S = 10.0
NEXT = {
    Verdict.FAIL: "next: atftctl undo takes the last operation back; atftctl history lists them",
    Verdict.INCONCLUSIVE: "next: what is missing stands in the lines above",
}


def verify(project: Project, request: Request) -> Result:
    """The checklist. A pass marks the files that it checked as verified-good."""
    layout, runbook = project.layout, project.runbook
    watch = Stopwatch(request.report)
    found = configs.read_configs(layout.root, runbook.files.configs)
    require_readable(project, found)
    refuse_open(project)
    baseline = read_baseline(project.layout)
    before = {path: config.sha256 for path, config in found.items() if config.sha256}
    running = process.observe(layout, runbook.trainer.command)
    with watch.part("service"):
        service = _watch_service(project, running)
    with watch.part("probes"):
        measured = probes.probe(layout, runbook, "verify", baseline_configs=baseline["configs"] if baseline else None)
    _compare_memory(measured, baseline)
    measured |= {"service": service, "errors": _errors(project)}
    running = process.observe(layout, runbook.trainer.command)
    checks = checklist(measured, baseline, running, runbook.checks, configs.digest(found))
    verdict = overall(checks)
    data: dict[str, Any] = {"verdict": verdict.value, "checks": [_plain(check) for check in checks]}
    if verdict is Verdict.PASS:
        passed = {check.name: check.detail for check in checks}
        lines = _mark(project, before, configs.digest(found), measured, passed, request)
    else:
        lines = (NEXT[verdict],)
    return Result(
        "verify",
        EXIT_OF[verdict],
        {Verdict.PASS: "verified: the service is back at the level of the baseline",
         Verdict.FAIL: "not verified: a check failed",
         Verdict.INCONCLUSIVE: "inconclusive: nothing failed, and not everything could be shown"}[verdict],
        data=data,
        lines=lines,
        parts=tuple(watch.parts),
        contacts=project.contacts if verdict is Verdict.FAIL else (),
    )  # fmt: skip


def _compare_memory(measured: dict[str, Any], baseline: dict[str, Any] | None) -> None:
    """Peak memory does not depend on how busy the machine is: the recorded figure serves."""
    cost = measured.get("cost") or {}
    if baseline and not cost.get("error"):
        ratio = cost["memory_mb"] / baseline["cost"]["memory_mb"]
        cost |= {"memory_mb_ratio": ratio, "memory_mb_ratio_lower": ratio}


def _watch_service(project: Project, running: Process) -> dict[str, Any] | None:
    """Steps that the live trainer takes while we look, at most ten seconds."""
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
    rows = event_log.last_metrics(project.layout.root, 1)
    return int(rows[-1]["step"]) if rows and rows[-1].get("step", "").isdigit() else None


def _errors(project: Project) -> dict[str, Any] | None:
    """Error lines of the log, and fatal events, since the last start."""
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
    log = tail(project.layout.root, protocol.LOG, 2000, since=record.log_from)
    lines += [line for line in log if " ERROR " in line or "Traceback" in line]
    return {"lines": lines, "since": record.started_at.replace("T", " ")[:19]}


def _mark(
    project: Project,
    before: dict[str, str],
    config_digest: str,
    measured: dict[str, Any],
    checks: dict[str, str],
    request: Request,
) -> tuple[str, ...]:
    """Marks only what was really checked: the configs that were read, and the one model file that was evaluated, also
    where the trainer has replaced it since. What that means for the user, in lines."""
    layout, model = project.layout, measured["model"]
    checked = {**before, model["path"]: model["sha256"]}
    stands = {path: sha256_file(resolve_inside(layout.root, path)) for path in checked}
    if any(stands[path] != digest for path, digest in before.items()):
        return "a config was changed while it was measured: nothing is marked", "next: atftctl verify, again"
    with locked(project, "verify", request):
        verified.mark_verified(layout, checked, checks, now())
        if quarantine.reason(layout, config_digest):
            kept_quarantine.lift(layout, config_digest, "verify passed", now())
    holding = [one.id for one in catalog.list_snapshots(layout) if checked.items() <= one.digests().items()]
    if holding:
        return f"snapshot {holding[-1]} holds exactly this: it is verified-good", "next: atftctl reenable --phase N"
    if stands[model["path"]] != model["sha256"]:
        return (
            f"the trainer has replaced {model['path']} since it was measured: what stands now was not checked",
            "next: atftctl backup, then atftctl verify: the snapshot is verified-good then",
        )
    return ("next: atftctl backup (it is verified-good), atftctl reenable --phase N",)


def _plain(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "verdict": check.verdict.value,
        "detail": check.detail,
        "figures": _figures(check.figures.items()),
    }


def _figures(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in items if isinstance(value, bool | int | float | str)}
