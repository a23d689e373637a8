"""`trainer start|stop|restart|status`: the process by itself, with no change to any file."""

from __future__ import annotations

from atftctl.apply import history, process
from atftctl.decide.assemble import find_stranger
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import StartTrainer
from atftctl.domain.result import Result
from atftctl.host import locks, procs
from atftctl.observe import process as observed
from atftctl.observe.configs import digest
from atftctl.operations.change import Request, Stopwatch, await_first_step, locked
from atftctl.operations.project import Project, now, observe, unreadable
from atftctl.protocol import Exit


def start(project: Project, resume: str, request: Request) -> Result:
    facts = observe(project)
    if facts.process.alive:
        raise Refused(f"the trainer runs already, pid {facts.process.pid}", then="atftctl trainer restart")
    find_stranger(facts.process, 0)
    broken = unreadable(facts.configs.values())
    if broken:
        raise Refused(broken[0], then="take a known-good copy back: atftctl restore latest")
    if request.dry_run:
        return Result("trainer start", Exit.DONE, f"dry run: would start the trainer from {resume}")
    watch = Stopwatch(request.report)
    with locked(project.layout, "trainer start", request.reason):
        return _start(project, facts, resume, request, watch, "trainer start")


def stop(project: Project, adopt: int, request: Request) -> Result:
    if request.dry_run:
        return _would_stop(project, adopt)
    watch = Stopwatch(request.report)
    with locked(project.layout, "trainer stop", request.reason):
        words = _stop(project, adopt, request, watch)
    return Result("trainer stop", Exit.DONE, words, parts=tuple(watch.parts))


def restart(project: Project, resume: str, adopt: int, request: Request) -> Result:
    if request.dry_run:
        return _would_stop(project, adopt)
    watch = Stopwatch(request.report)
    with locked(project.layout, "trainer restart", request.reason):
        facts = observe(project)
        broken = unreadable(facts.configs.values())
        if broken:
            raise Refused(broken[0])
        if facts.process.alive or adopt:
            request.report.note(_stop(project, adopt, request, watch))
        return _start(project, observe(project), resume, request, watch, "trainer restart")


def status(project: Project) -> Result:
    found = observed.observe(project.layout, project.runbook.trainer.command)
    where = f", pid {found.pid}" if found.pid else ""
    step = f", step {found.step}" if found.step is not None else ""
    lines = [f"since {found.since}, run {found.run_id}, config {found.digest[:12] or '?'}"] if found.run_id else []
    if found.memory_mb:
        lines.append(f"memory {found.memory_mb:.0f} MB (RssAnon)")
    if found.state == "died":
        lines.append(cause(found.last_event or {}))
    lines += [f"started by hand: pid {one.pid}, {one.user}: {one.command[:100]}" for one in found.strangers]
    data = {
        "state": found.state,
        "pid": found.pid,
        "run_id": found.run_id,
        "step": found.step,
        "digest": found.digest,
        "memory_mb": found.memory_mb,
        "last_event": dict(found.last_event or {}),
        "by_hand": [{"pid": one.pid, "user": one.user, "command": one.command} for one in found.strangers],
    }
    return Result("trainer status", Exit.DONE, f"trainer: {found.state}{where}{step}", lines=tuple(lines), data=data)


def cause(event: object) -> str:
    """Why it died, from its own last word; without one, only that nobody knows. A bare kill proves no out-of-memory."""
    if not isinstance(event, dict) or not event:
        return "it left no word: killed, or it never got to its first event"
    step = event.get("step", 0)
    if event["event"] == "oom":
        words = f"out of memory at step {step + 1}: {event.get('message', '')[:120]}"
        return f"{words} → atftctl rollback --symptom oom"
    if event["event"] == "anomaly":
        words = f"{event.get('quantity')} was {event.get('value')} at step {step + 1}"
        return f"{words} → atftctl rollback --symptom divergence"
    if event["event"] == "stopped":
        return f"it ended by itself: {str(event.get('reason', ''))[:200]} (exit {event.get('exit_code')})"
    return f"it left no word after {event['event']} at step {step}: killed from outside?"


def _would_stop(project: Project, adopt: int) -> Result:
    found = observe(project).process
    stranger = find_stranger(found, adopt)
    pid = stranger.pid if stranger else found.pid
    return Result("trainer stop", Exit.DONE, f"dry run: would stop pid {pid}" if pid else "dry run: no trainer runs")


def _stop(project: Project, adopt: int, request: Request, watch: Stopwatch) -> str:
    layout, rules = project.layout, project.runbook.trainer
    found = observed.observe(layout, rules.command)
    stranger = find_stranger(found, adopt)
    record = observed.read_record(layout)
    if stranger:
        who = procs.Identity(stranger.pid, stranger.start_ticks, procs.boot_id())
        with watch.part("stop"):
            killed = process.stop(None, who, grace_s=rules.grace_s, note=request.report.note)
        _log(project, "trainer stop", request, f"stopped pid {who.pid}, started by hand")
        return _stopped_words(who.pid, killed)
    who_recorded = observed.identity(record) if record else None
    if record is None or who_recorded is None:
        if record and record.wanted == "running":
            process.mark_stopped(layout, record)  # it died before; from now on it is down on purpose
        return "no trainer runs"
    with watch.part("stop"):
        killed = process.stop(record, who_recorded, grace_s=rules.grace_s, note=request.report.note)
    process.mark_stopped(layout, record)
    _log(project, "trainer stop", request, f"stopped pid {who_recorded.pid}")
    return _stopped_words(who_recorded.pid, killed)


def _stopped_words(pid: int, killed: list[int]) -> str:
    return f"stopped the trainer, pid {pid}" + (f"; {len(killed)} process(es) had to be killed" if killed else "")


def _start(project: Project, facts: Facts, resume: str, request: Request, watch: Stopwatch, command: str) -> Result:
    rules = project.runbook.trainer
    with watch.part("start"):
        record = process.start(project.layout, project.start_order(resume), digest=digest(facts.configs), now=now())
    with watch.part("first step"):
        healthy, words, seen = await_first_step(
            project, record, StartTrainer(resume, rules.memory_limit_mb, rules.ready_s)
        )
    _log(project, command, request, f"started pid {record.pid}" + ("" if healthy else f": {words}"))
    return Result(
        command,
        Exit.DONE if healthy else Exit.CHECK_FAILED,
        f"the trainer runs, pid {record.pid}" if healthy else words,
        lines=(f"proof: step {seen.get('step')} with config {str(seen.get('digest'))[:12]}",)
        if healthy and seen
        else (),
        data={"pid": record.pid, "run_id": record.run_id, "first_step": dict(seen or {})},
        parts=tuple(watch.parts),
        contacts=() if healthy else project.contacts,
    )


def _log(project: Project, command: str, request: Request, title: str) -> None:
    stamp = now()
    history.append(
        project.layout,
        {
            "operation": f"{stamp.strftime('%Y%m%d_%H%M%S_%f')}-process",
            "command": command,
            "title": title,
            "reason": request.reason,
            "operator": locks.operator(),
            "started": stamp.isoformat(timespec="seconds"),
            "ended": stamp.isoformat(timespec="seconds"),
            "outcome": "done",
            "exit_code": 0,
            "files": [],
        },
    )
