"""The record of the trainer that this tool started, as it is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class ProcessRecord:
    """Written before the start (pid 0) and again after it, so that a crash in between loses no trainer."""

    run_id: str
    wanted: Literal["running", "stopped"]
    started_at: str
    digest: str
    resume: str
    events_from: int  # the size of the event log when it was started
    log_from: int = 0  # the same of its log for people
    metrics_from: int = 0  # the same of its metrics
    pid: int = 0
    ticks: int = 0
    boot: str = ""
    host: str = ""
    namespace: str = ""  # of pids: a container has one of its own
    processes: int = 1  # more than one: the recorded process is their launcher
    detached: bool = False  # its command went on in the background: another process of the run is the trainer
    events_inode: int = 0  # of the event log when it was started; rotated since, another file has its name

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ProcessRecord:
        """Raises KeyError, TypeError or ValueError for a record that is not one."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        found = cls(**known)
        for name, field in cls.__dataclass_fields__.items():
            kind = {"int": int, "bool": bool}.get(str(field.type), str)
            if type(known.get(name, field.default)) is not kind:
                raise TypeError(f"{name} is no {kind.__name__}")
        if found.wanted not in ("running", "stopped") or found.pid < 0 or found.ticks < 0:
            raise ValueError("no such process")
        return found
