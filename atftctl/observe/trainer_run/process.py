"""The trainer's process: the recorded one, and those that were started by hand. Looks, never signals."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Literal

from atftctl import protocol
from atftctl.domain.facts import Process, UnmanagedTrainer
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.process_state import ProcessState, Signs, state_of
from atftctl.host.process import table as procs
from atftctl.observe.trainer_run import event_log
from atftctl.state import process_record, sealed_records
from atftctl.state.layout import Layout

WORKER_LOST = int(protocol.TrainerExit.WORKER_LOST)
CAUSES = (protocol.OOM, protocol.ANOMALY, protocol.WORKER_LOST)


read_record, identity, members = process_record.read, process_record.identity, process_record.members


def elsewhere(record: ProcessRecord) -> str:
    """The other machine or container that the trainer was started on, where its pid means something; "" for here."""
    host, namespace = procs.host_and_namespace()
    if record.host in ("", host) and (record.boot != procs.boot_id() or record.namespace in ("", namespace)):
        return ""
    return record.host if record.host != host else f"another container of {host}"


def observe(layout: Layout, command: Sequence[str]) -> Process:
    """The state of the recorded trainer, from the process table and its own events."""
    record = read_record(layout)
    if record is None:
        return Process(unmanaged=_unmanaged(layout, command, frozenset()))
    who = identity(layout, record)
    ours = frozenset(one.pid for one in members(layout, record))
    unmanaged = _unmanaged(layout, command, ours)
    seen = list(
        event_log.events(layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id)
    )
    steps = [event["step"] for event in seen if isinstance(event.get("step"), int)]
    where = elsewhere(record) if record.wanted == "running" else ""
    section, silent_s = _sign_of_life(layout, record) if who else ("", None)
    return Process(
        state=_state(layout, record, who, seen),
        pid=who.pid if who else None,
        run_id=record.run_id,
        since=record.started_at,
        digest=_running_digest(seen) or record.digest,
        step=_last_step(layout) if who else (max(steps) if steps else None),
        last_event=_cause(seen),
        memory_mb=sum(filter(None, map(procs.anonymous_mb, ours))) if who else None,
        unmanaged=unmanaged,
        leftovers=() if who or where else tuple(sorted(ours)),
        section=section,
        silent_s=silent_s,
        where=where,
    )


def _sign_of_life(layout: Layout, record: ProcessRecord) -> tuple[str, float | None]:
    """(section, None), or how long nothing was heard where that is longer than the section may last."""
    beat = event_log.heartbeat(layout.root, record.run_id)
    age, limit = time.time() - float(beat.get("t", 0)), float(beat.get("limit_s", 0))
    return str(beat.get("section", "")), age if beat and age > limit else None


def _state(
    layout: Layout, record: ProcessRecord, who: procs.Identity | None, seen: list[dict[str, Any]]
) -> ProcessState:
    codes = [
        code for event in seen if event["event"] == protocol.STOPPED and type(code := event.get("exit_code")) is int
    ]
    last: dict[int, Literal["finished", "stopped"]] = {
        int(protocol.TrainerExit.FINISHED): "finished",
        int(protocol.TrainerExit.STOPPED): "stopped",
    }
    on_purpose = record.wanted == "stopped"
    return state_of(
        Signs(
            alive=who is not None,
            elsewhere=not on_purpose and bool(elsewhere(record)),
            asked_to_stop=on_purpose or (who is not None and _being_stopped(layout, who)),
            on_purpose=on_purpose,
            first_step=any(event["event"] == protocol.FIRST_STEP for event in seen),
            ended=last.get(codes[-1], "") if codes else "",
        )
    )


def _being_stopped(layout: Layout, who: procs.Identity) -> bool:
    """By an operation that is under way, as its intent says."""
    for path in layout.journal.glob("*.intent.json"):
        stopping = sealed_records.try_read(path).get("stopping")
        entries = [entry for entry in stopping if isinstance(entry, dict)] if isinstance(stopping, list) else []
        if any((entry.get("pid"), entry.get("ticks")) == (who.pid, who.ticks) for entry in entries):
            return True
    return False


def _cause(seen: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The event that says most about the end: a typed fatal one, else the last. What was recovered from is no end."""
    fatal = [event for event in seen if event["event"] in CAUSES and not event.get("recoverable")]
    reasons = [event for event in fatal if event["event"] != protocol.WORKER_LOST]  # what befell the one that was lost
    lost = [event for event in seen if event["event"] == protocol.STOPPED and event.get("exit_code") != WORKER_LOST]
    if fatal and not reasons and lost:
        return lost[-1]
    found = reasons or fatal or seen
    return found[-1] if found else None


def _running_digest(seen: list[dict[str, Any]]) -> str:
    digests = [str(event["digest"]) for event in seen if event.get("digest")]
    return digests[-1] if digests else ""


def _last_step(layout: Layout) -> int | None:
    rows = event_log.last_metrics(layout.root, 2)
    try:
        return int(rows[-1]["step"]) if rows else None
    except (KeyError, ValueError):
        return None


def signature(command: Sequence[str]) -> list[str]:
    """The words of the trainer's command that tell it from others: what stands before the first placeholder or
    option value."""
    words = [word for word in command if word != "{python}"]
    return list(
        words[: next((at for at, word in enumerate(words) if "{" in word or word.startswith("--")), len(words))]
    )


def _unmanaged(layout: Layout, command: Sequence[str], ours: frozenset[int]) -> tuple[UnmanagedTrainer, ...]:
    return tuple(
        UnmanagedTrainer(one.pid, one.ticks, one.user, one.command, ours_to_signal=os.getuid() in (0, one.uid))
        for one in procs.find_command(signature(command), layout.root)
        if one.pid not in ours
    )
