"""Observe everything that a diagnosis is made from. Nothing here changes anything."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from atftctl import protocol
from atftctl.domain.diagnosis import Checkpoint, KernelSign, LogSign
from atftctl.domain.log_lines.meaning import Meanings
from atftctl.domain.log_lines.rules import ErrorPattern
from atftctl.domain.log_lines.tally import Tally
from atftctl.domain.process_record import ProcessRecord
from atftctl.host import kernel_log, memory
from atftctl.host.copying.zip_crc import checkpoint, structure
from atftctl.host.errors import HostError, reason
from atftctl.host.files.logs import open_log
from atftctl.host.files.matching import is_pattern
from atftctl.host.process import table as procs
from atftctl.observe.checkpoints import patterns
from atftctl.observe.trainer_run import event_log
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

STEPPED = (protocol.FIRST_STEP, protocol.EVALUATED, protocol.RECOVERED)  # it went on
FINAL = (protocol.OOM, protocol.ANOMALY, protocol.SAVE_FAILED, protocol.WORKER_LOST, protocol.FENCED)


def events_of(layout: Layout, record: ProcessRecord) -> tuple[Mapping[str, Any], ...]:
    """The events of the recorded run. What another run wrote is not among them, whatever it says."""
    return tuple(
        event_log.events(layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id)
    )


def progress(layout: Layout, record: ProcessRecord, events: Sequence[Mapping[str, Any]]) -> float | None:
    """When the recorded run did its newest step or evaluation that is known, in Unix seconds."""
    times = [float(event["t"]) for event in events if event["event"] in STEPPED]
    beat = event_log.heartbeat(layout.root, record.run_id)
    if beat.get("section") in ("step", "evaluate"):
        times.append(float(beat["t"]))
    return max(times, default=None)


def earlier_ends(layout: Layout, record: ProcessRecord, since: float) -> tuple[Mapping[str, Any], ...]:
    """How runs ended before the recorded one, from a time on (Unix seconds)."""
    events = event_log.events(layout.root)
    return tuple(
        event
        for event in events
        if event["event"] in FINAL
        and not event.get("recoverable")
        and event["t"] >= since
        and event.get("run_id") != record.run_id
    )


def log_signs(tally: Tally, kinds: Sequence[ErrorPattern]) -> tuple[LogSign, ...]:
    """The messages that were counted in the logs, each with what it means."""
    meanings = Meanings(kinds)
    return tuple(
        LogSign(
            kind.name, kind.role, kind.symptom, message.severity, message.text, message.count, message.first,
            message.last,
        )
        for message in tally.messages.values()
        if (kind := meanings.of(message.kind, message.text))
    )  # fmt: skip


def kernel_signs(since: float) -> tuple[tuple[KernelSign, ...], str]:
    """(what the kernel's log says from a time on, why it can't be read)."""
    log = kernel_log.read(since)
    kills = [KernelSign(kill.pid, kill.text, kill.time) for kill in log.kills]
    cards = [KernelSign(0, card.text, card.time, card.number) for card in log.cards]
    return tuple(sorted([*kills, *cards], key=lambda sign: sign.time)), log.problem


def on_this_kernel(record: ProcessRecord) -> bool:
    """Did the trainer run on this machine, since it was booted?"""
    return record.boot in ("", procs.boot_id()) and record.host in ("", procs.host_and_namespace()[0])


def has_pids_of_machine(record: ProcessRecord) -> bool:
    """Are the pids of the record those that the kernel writes into its log? In a container they are others."""
    return on_this_kernel(record) and record.namespace == procs.MACHINE_NAMESPACE


def killed_for_memory(record: ProcessRecord) -> bool | None:
    """Did the kernel kill a process of the trainer's cgroup for memory since the trainer was started? None where that
    can't be seen: not counted at the start, the cgroup is gone, or another boot, machine or container."""
    here = on_this_kernel(record) and record.namespace == procs.host_and_namespace()[1]
    now = memory.oom_kills(record.oom_cgroup, record.oom_inode) if here and record.oom_cgroup else -1
    return now > record.oom_kills if 0 <= record.oom_kills <= now else None


def checkpoints(layout: Layout, names: Sequence[str]) -> tuple[Checkpoint, ...]:
    """The files with models, and whether their structure is whole. Quick: their contents are not read."""
    return tuple(_checkpoint(layout, name) for name in checkpoint_files(layout, names))


def checkpoint_files(layout: Layout, names: Sequence[str]) -> tuple[str, ...]:
    """The paths of these models: of a pattern, the newest match; of a folder, the files of `torch.save` in it."""
    files: list[str] = []
    for name in names:
        path = patterns.newest(layout, name) if is_pattern(layout.root, name) else name
        folder = layout.root / path
        if folder.is_dir():
            files += (f"{path}/{inner}" for inner in sorted(os.listdir(folder)) if checkpoint(inner))  # noqa: PTH208
        elif not is_pattern(layout.root, path):
            files.append(path)
    return tuple(files)


def _checkpoint(layout: Layout, name: str) -> Checkpoint:
    try:
        with open_log(layout.root, name) as file:
            facts = os.fstat(file.fileno())
            if not facts.st_size and checkpoint(name):
                return Checkpoint(name, whole=False, damage=tr("it is empty"), written=facts.st_mtime)
            damage = structure(file.fileno())
    except FileNotFoundError:
        return Checkpoint(name, whole=False)
    except (OSError, HostError) as error:
        return Checkpoint(name, whole=False, damage=tr("it can't be read: {reason}", reason=reason(error)))
    return Checkpoint(name, whole=damage == "", damage=damage or "", written=facts.st_mtime)


def now() -> float:
    """The time, in Unix seconds."""
    return time.time()
