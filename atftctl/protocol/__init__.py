"""What the ops side and the trainer share: file names, event records, exit codes, the digest of a config.

Standard library only: the ops side must work while torch is broken, and the trainer imports no other module of the ops
side.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

EVENT_VERSION = 1


class Exit(IntEnum):
    """The exit codes of `atftctl`; docs/exit-codes.md describes them for users."""

    DONE = 0
    CHECK_FAILED = 1  # a check failed, or the change was made but the trainer is not healthy
    USAGE = 2
    REFUSED = 3  # nothing was changed
    RESTORED = 4  # the operation failed, and the earlier state was restored
    STOPPED = 5  # a person must look
    INCONCLUSIVE = 6
    INTERRUPTED = 130


class TrainerExit(IntEnum):
    """The exit codes of the trainer; its last event holds the same code."""

    FINISHED = 0
    CRASHED = 1
    BAD_SETTINGS = 2
    STOPPED = 10  # it was asked to stop: it finished the step, saved a checkpoint and ended
    OUT_OF_MEMORY = 11
    ANOMALY = 12  # non-finite loss, gradient or prediction
    BAD_DATA = 13
    BAD_CHECKPOINT = 14
    SAVE_FAILED = 15
    WORKER_LOST = 16  # another process of the same run has ended
    FENCED = 17  # a newer trainer was started: this one saved nothing and ended


# Files in a run folder, relative to it. In service the run folder is the project itself.
LOG = "logs/training.log"
OUTPUT = "logs/trainer.out"  # stdout and stderr of the process, for errors that come before it can log
METRICS = "logs/metrics.csv"
EVENTS = "logs/events.jsonl"
HEARTBEAT = "logs/heartbeat.json"  # t, section, step, limit_s (how long the section may last)
REQUEST = "logs/request.json"  # a request to the running trainer, for its next step: id, run_id, want
WANT_STOP, WANT_RELOAD = "stop", "reload"
BEST = "models/best_model.pth"
LAST = "models/last.pth"
DAMAGED = "models/last.damaged.pth"  # a LAST that could not be read, renamed
PREVIOUS = "models/previous.pth"  # the LAST before the current one

# The environment variable that marks every process of one run, also in another session.
RUN_ID = "ATFTCTL_RUN_ID"
# The environment variable that holds the number of the trainer's start, and the file that holds the newest number.
GENERATION = "ATFTCTL_GENERATION"
GENERATION_ROOT = "ATFTCTL_GENERATION_ROOT"  # the environment variable with the run folder that the number is for
# Set in a drill, where the trainer makes faults on purpose: MB that it leaks with each date of a memory map.
DRILL = "ATFTCTL_DRILL"
DRILL_LEAK_MB = "ATFTCTL_DRILL_LEAK_MB"
COUNTER = ".atftctl/generation"
PENDING = ".atftctl/pending.json"  # there while a change waits for its confirmation, and may be undone by itself
HOOK_GRADIENT, HOOK_MEMORY, HOOK_TIME = "grad_norm", "rss_mb", "step_s"  # columns of METRICS that the hooks write
GENERATION_COLUMN = "generation"  # of METRICS
STAGING = "run"  # the folder, in the run folder, that holds a folder for each generation: see protocol/generations.py

# Events, by name. Each record also has v, event, t (unix seconds), pid, run_id, generation (0: not
# known), step.
# digest, effective, resumed_from, resumed_generation (that saved it), world_size, measured_on (data, labels, losses)
STARTED = "started"
FIRST_STEP = "first_step"  # digest, loss, step_s
CHECKPOINT = "checkpoint"  # path, sha256
OOM = "oom"  # message, section, recoverable; card: of a graphics card, free_mb …, holders (pid, mb)
RECOVERED = "recovered"  # what the trainer did about an error
ANOMALY = "anomaly"  # quantity, value
EVALUATED = "evaluated"  # a value of each metric; by_date, by_example or values; identity: what it was measured on
SAVE_FAILED = "save_failed"  # path, message; the old checkpoint is still there
HANG = "hang"  # section, seconds, limit_s
WORKER_LOST = "worker_lost"  # message, rank
FENCED = "fenced"  # message, newer (the number of a newer start; 0 where only this one's folder was renamed)
RELOADED = "reloaded"  # request, digest, effective: new settings are in use without a restart
RELOAD_REFUSED = "reload_refused"  # request, message: the old settings stay in use
WARNING = "warning"  # message
STOPPED = "stopped"  # reason, exit_code


def event_line(event: str, *, t: float, pid: int, run_id: str, step: int, generation: int = 0, **fields: Any) -> bytes:
    """One event as a line of JSON, newline included; non-finite numbers become strings."""
    record = {
        "v": EVENT_VERSION,
        "event": event,
        "t": t,
        "pid": pid,
        "run_id": run_id,
        "generation": generation,
        "step": step,
        **fields,
    }
    return (json.dumps(_plain(record), ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def parse_event(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None for a line that is not complete (its writer may have died while writing), or whose
    time is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if is_event(record) else None


def is_event(record: object) -> bool:
    """Is it the record of an event: has it a name and a time?"""
    return isinstance(record, dict) and is_number(record.get("t")) and isinstance(record.get("event"), str)


def is_number(value: object) -> bool:
    """Is it a number that fits into a float? JSON has NaN, Infinity, and integers of any length."""
    try:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        return False


def placed(settings: Mapping[str, Any], key: Iterable[str]) -> Mapping[str, Any]:
    """The settings below this key: where a trainer merges a config file under a namespace, its layer for
    `merge_settings`. The settings themselves for an empty key."""
    for name in reversed(tuple(key)):
        settings = {name: settings}
    return settings


def merge_settings(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge config files in order: mappings key by key; any other value replaces the earlier one."""
    merged: dict[str, Any] = {}
    for layer in layers:
        _merge_into(merged, layer)
    return merged


def _merge_into(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        below = target.get(key)
        if isinstance(value, Mapping):
            merged: dict[str, Any] = dict(below) if isinstance(below, Mapping) else {}
            _merge_into(merged, value)
            target[key] = merged
        else:
            target[key] = value


def config_digest(settings: Mapping[str, Any]) -> str:
    """The SHA-256 of the settings. Comments, the order of keys, quotes, and `1` in place of `1.0` do not change it."""
    text = json.dumps(_plain(settings), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    return str(value)
