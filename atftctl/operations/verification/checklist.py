"""`verify` and `baseline record`: is the service back at the level of before?"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from atftctl import protocol
from atftctl.decide.plans.setting_changes import changes
from atftctl.decide.verdicts.checklist import checklist
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Process
from atftctl.domain.result import Result
from atftctl.domain.verdict import EXIT_OF, Check, Verdict, overall
from atftctl.host.errors import HostError
from atftctl.host.files.containment import inside
from atftctl.host.files.durable import read_bytes, sha256_file
from atftctl.host.files.logs import tail
from atftctl.host.git import facts as git
from atftctl.host.yaml_text.read import MAX_BYTES
from atftctl.observe import configs, quarantine
from atftctl.observe.snapshots import catalog
from atftctl.observe.trainer_run import event_log, probes, process
from atftctl.operations.change.carry_out import locked
from atftctl.operations.project import Project, now, open_operation, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.state import baseline as stored
from atftctl.state import quarantine as kept_quarantine

SERVICE_WATCH_S = 10.0
BASELINE_VERSION = 1
IDENTITY = ("identity", "weights", "predictions")  # of what a RankIC was measured on, and with
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
    _refuse_open(project)
    baseline = read_baseline(project)
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


def record_baseline(project: Project, request: Request, *, anyway: bool = False) -> Result:
    """Measure the level that later verifies compare with. Recorded while all is well, at the baseline's settings."""
    layout, runbook = project.layout, project.runbook
    watch = Stopwatch(request.report)
    found = configs.read_configs(layout.root, runbook.files.configs)
    require_readable(project, found)
    _refuse_open(project)
    on = changes(runbook, found, runbook.immediate.settings)
    if on and not anyway:
        names = ", ".join(change.feature for change in on)
        raise Refused(
            f"improvements are on ({names}); a baseline is the level without them",
            stands="the old baseline, if any, stands",
            then="atftctl rollback --immediate first, or --anyway to record it all the same",
        )
    with watch.part("probes"):
        measured = probes.probe(layout, runbook, "verify")
    for name in ("dataset", "training", "cost", "model", "rankic"):
        if measured[name].get("error"):
            raise Refused(
                f"no baseline was recorded: {name}: {measured[name]['error']}",
                stands="the old baseline, if any, stands",
            )
    with locked(project, "baseline record", request):
        stored.write(
            layout,
            {
                "version": BASELINE_VERSION,
                "recorded": now().isoformat(timespec="seconds"),
                "commit": git.head(layout.root)[0],
                "config_digest": configs.digest(found),
                "configs": {
                    name: read_bytes(inside(layout.root, name), MAX_BYTES).decode() for name in runbook.files.configs
                },
                "rankic": measured["rankic"],
                "cost": measured["cost"],
                "model": measured["model"],
            },
        )
    rankic, cost = measured["rankic"], measured["cost"]
    return Result(
        "baseline record",
        Exit.DONE,
        f"baseline recorded: RankIC@{rankic['horizon']}d {rankic['mean']:.4f} over {len(rankic['by_date'])} dates, "
        f"{cost['memory_mb']:.0f} MB, {cost['step_s'] * 1000:.0f} ms a step",
        data={
            "rankic": rankic["mean"],
            "dates": len(rankic["by_date"]),
            "cost": cost,
            "model": measured["model"],
        },
        parts=tuple(watch.parts),
    )


def _refuse_open(project: Project) -> None:
    """What a crash left open may be half in place: nothing measured now would mean anything."""
    opened = open_operation(project.layout)
    if opened:
        raise Refused(opened.words, then="atftctl recover, then this again")


def read_baseline(project: Project) -> dict[str, Any] | None:
    """None where there is none. Raises Refused for one that can't be read: it must not pass as none."""
    try:
        found = json.loads(read_bytes(project.layout.baseline))
    except FileNotFoundError:
        return None
    except (OSError, HostError, ValueError, RecursionError) as error:
        raise Refused(f"the baseline can't be read: {error}", then="record it again: atftctl baseline record") from None
    if not isinstance(found, dict) or found.get("version") != BASELINE_VERSION or not _is_baseline(found):
        version = found.get("version") if isinstance(found, dict) else None
        raise Refused(
            f"the baseline is not whole, or of another version ({version})",
            then="record it again: atftctl baseline record",
        )
    return dict(found)


def _is_baseline(found: dict[str, Any]) -> bool:
    """Does it hold the figures that later runs are held against?"""
    try:
        figures = (found["cost"]["memory_mb"], found["cost"]["step_s"], *found["rankic"]["by_date"].values())
        texts = (*found["configs"].values(), found["config_digest"], *(found["rankic"][name] for name in IDENTITY))
    except (KeyError, TypeError, AttributeError):
        return False
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in figures)
    return numbers and figures[0] > 0 and all(text is not None for text in texts)


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
    stands = {path: sha256_file(inside(layout.root, path)) for path in checked}
    if any(stands[path] != digest for path, digest in before.items()):
        return "a config was changed while it was measured: nothing is marked", "next: atftctl verify, again"
    with locked(project, "verify", request):
        stored.mark_verified(layout, checked, checks, now())
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
