"""Observe the recorded trainer, and trainers that were started by hand. Nothing here sends a signal."""

from __future__ import annotations

import time
from typing import Any, Literal

from atftctl import protocol
from atftctl.domain.facts import EXITED, Process
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.domain.process_state import ProcessState, Signs, state_of
from atftctl.domain.runbook import TrainerRules
from atftctl.observe.log_files.errors import started_at
from atftctl.observe.metrics.text_rows import last_metrics
from atftctl.observe.trainer_run import by_hand, ends, event_log
from atftctl.protocol.messages import tr
from atftctl.state import process_record, sealed_records
from atftctl.state.engines.choice import engine_of, named
from atftctl.state.engines.engine import Seen
from atftctl.state.layout import Layout

WORKER_LOST = int(protocol.TrainerExit.WORKER_LOST)
CAUSES = (protocol.OOM, protocol.ANOMALY, protocol.WORKER_LOST, protocol.FENCED)


read_record = process_record.read


def observe(layout: Layout, rules: TrainerRules) -> Process:
    """The recorded trainer as it is now, from the process table and its own events, and trainers that were started by
    hand. `rules`: how the runbook starts the trainer, and knows one."""
    record = read_record(layout)
    if record is None:
        processes = by_hand.trainers(layout.root, rules, frozenset())
        return Process(unmanaged=named(rules.engine).by_hand(layout, None, processes), engine=rules.engine)
    now = engine_of(record).state(layout, record)
    main, ours = now.main, now.pids
    unmanaged = named(rules.engine).by_hand(layout, record, by_hand.trainers(layout.root, rules, ours))
    seen = ends.events_of(layout, record)
    steps = [event["step"] for event in seen if isinstance(event.get("step"), int)]
    newest = _newest_steps(layout, record) if main else []
    where = _where(record, now, rules)
    section, silent_s = _sign_of_life(layout, record) if main else ("", None)
    begun = _has_begun(record, rules, newest)
    return Process(
        state=_state(layout, record, now, seen, elsewhere=bool(where), begun=begun),
        pid=main.pid if main else None,
        run_id=record.run_id,
        generation=record.generation,
        since=record.started_at,
        digest=_running_digest(seen) or record.digest,
        step=newest[-1] if newest else max(steps, default=None),
        last_event=_cause(seen),
        memory_mb=now.memory_mb,
        unmanaged=unmanaged,
        leftovers=() if where else tuple(sorted(now.left)),
        section=section,
        silent_s=silent_s,
        where=where,
        ready=record.ready,
        proof=record.proof,
        speaks=any(event["event"] != EXITED for event in seen),
        engine=record.engine,
        waiting=now.waiting,
        unknown=now.unknown,
        unproven=now.unproven,
        blocked=now.blocked,
        remark=now.remark,
    )


def _where(record: ProcessRecord, now: Seen, rules: TrainerRules) -> str:
    """Where a trainer was started that can't be stopped from here: on another machine, or by another engine than the
    runbook names now; "" for all others."""
    if now.main and record.engine != rules.engine:
        values = {"engine": record.engine, "process": record.name, "now": rules.engine}
        return tr("another engine ({engine}, {process}; the runbook names trainer.engine: {now})", **values)
    return now.where if record.wanted == "running" else ""


def _sign_of_life(layout: Layout, record: ProcessRecord) -> tuple[str, float | None]:
    """(the section of the last heartbeat; the seconds since then where the section may not last so long, else None)."""
    beat = event_log.heartbeat(layout.root, record.run_id)
    age, limit = time.time() - float(beat.get("t", 0)), float(beat.get("limit_s", 0))
    return str(beat.get("section", "")), age if beat and age > limit else None


def _state(
    layout: Layout, record: ProcessRecord, now: Seen, seen: list[dict[str, Any]], *, elsewhere: bool, begun: bool
) -> ProcessState:
    codes = [
        code
        for event in seen
        if event["event"] in (protocol.STOPPED, EXITED) and type(code := event.get("exit_code")) is int
    ]
    last: dict[int, Literal["finished", "stopped"]] = {
        int(protocol.TrainerExit.FINISHED): "finished",
        int(protocol.TrainerExit.STOPPED): "stopped",
    }
    on_purpose = record.wanted == "stopped"
    return state_of(
        Signs(
            alive=now.main is not None,
            elsewhere=elsewhere,
            waiting=bool(now.waiting),
            lost=bool(now.unproven),
            unknown=bool(now.unknown),
            asked_to_stop=on_purpose or (now.main is not None and _being_stopped(layout, now.main)),
            on_purpose=on_purpose,
            first_step=begun or any(event["event"] == protocol.FIRST_STEP for event in seen),
            ended=last.get(codes[-1], "") if codes else "",
        )
    )


def _being_stopped(layout: Layout, process: TrainerIdentity) -> bool:
    """Does the intent of an open operation say that it stops this process?"""
    for path in layout.journal.glob("*.intent.json"):
        stopping = sealed_records.try_read(path).get("stopping")
        entries = [entry for entry in stopping if isinstance(entry, dict)] if isinstance(stopping, list) else []
        if any((entry.get("pid"), entry.get("ticks")) == (process.pid, process.ticks) for entry in entries):
            return True
    return False


def _cause(seen: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The event that best explains the end of a run: the last fatal one, else the last of all. A recoverable event is
    not fatal; a lost worker counts only where no other process reports why it ended."""
    fatal = [event for event in seen if event["event"] in CAUSES and not event.get("recoverable")]
    reasons = [event for event in fatal if event["event"] != protocol.WORKER_LOST]
    lost = [event for event in seen if event["event"] == protocol.STOPPED and event.get("exit_code") != WORKER_LOST]
    if fatal and not reasons and lost:
        return lost[-1]
    candidates = reasons or fatal or seen
    return candidates[-1] if candidates else None


def _running_digest(seen: list[dict[str, Any]]) -> str:
    digests = [str(event["digest"]) for event in seen if event.get("digest")]
    return digests[-1] if digests else ""


def _newest_steps(layout: Layout, record: ProcessRecord) -> list[int]:
    """The steps of the newest rows of the run's metrics, two at most."""
    rows = last_metrics(layout, 2, record)
    try:
        return [int(row["step"]) for row in rows]
    except (KeyError, ValueError):
        return []


def _has_begun(record: ProcessRecord, rules: TrainerRules, newest: list[int]) -> bool:
    """Has a trainer that writes no events begun to train, as far as it can be seen? Where nobody waits for its proof
    any more, since that took too long or the command was killed, it would count as starting for ever."""
    if record.proof or not record.ready:
        return bool(record.proof)
    if len(newest) == 2 and newest[1] > newest[0]:
        return True
    began, alive_s = started_at(record), rules.ready.alive_s if rules.ready else 0.0
    return began is not None and 0 < alive_s < time.time() - began
