"""The starts of the trainer, from its events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.domain.branches import Run
from atftctl.host.errors import HostError
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.rotation import is_compressed, parts

LIMIT = 64 << 20  # bytes that are read at most, the newest
LINE_LIMIT = 1 << 20  # bytes of one event
STEPS, TIMES = 1 << 53, 1e11  # what no step and no time (unix seconds) reaches
MOST_TIMES = 10_000  # events of one run whose times are kept, the first ones and the newest


@dataclass
class _Begun:
    """A run while its events are read."""

    started: dict[str, Any]
    times: list[tuple[int, float]] = field(default_factory=list)
    stopped: bool = False

    def made(self) -> Run:
        event = self.started
        return Run(
            generation=_whole(event.get("generation")),
            from_step=_whole(event.get("step")),
            source=str(event.get("resumed_from", "")),
            parent=_whole(event.get("resumed_generation")),
            times=tuple(self.times),
            stopped=self.stopped,
        )


def runs(root: Path) -> list[Run]:
    """The starts of the trainer, the oldest first; empty where no event can be read."""
    begun: list[_Begun] = []
    latest: dict[str, _Begun] = {}
    for event in all_events(root):
        key = str(event.get("run_id") or f"pid {event.get('pid')}")
        if event["event"] == protocol.STARTED:
            latest[key] = _Begun(event)
            begun.append(latest[key])
        run = latest.get(key)
        if run is None or "rank" in event or not _has_place(event):
            continue
        run.stopped |= event["event"] == protocol.STOPPED
        if len(run.times) >= MOST_TIMES:
            run.times.pop()
        run.times.append((event["step"], float(event["t"])))
    return [run.made() for run in begun if run.times]


def all_events(root: Path) -> Iterator[dict[str, Any]]:
    """The events of all files, the oldest first, in the newest `LIMIT` bytes."""
    paths, room = [path for path in parts(root, protocol.EVENTS) if not is_compressed(path)], LIMIT
    begins: list[tuple[Path, int]] = []
    for path in reversed(paths):
        try:
            size = path.lstat().st_size
        except OSError:
            continue
        begins.insert(0, (path, max(0, size - room)))
        room = max(0, room - size)
    for path, begin in begins:
        try:
            with open_regular(path) as file:
                file.seek(begin)
                while line := file.readline(LINE_LIMIT):
                    if event := protocol.parse_event(line):
                        yield event
        except (OSError, HostError):
            continue


def _has_place(event: dict[str, Any]) -> bool:
    """Does the event have a step and a time that can be?"""
    step = event.get("step")
    return type(step) is int and 0 <= step < STEPS and 0 <= event["t"] < TIMES


def _whole(value: object) -> int:
    """A whole number that is not below 0; 0 for anything else."""
    return value if type(value) is int and 0 <= value < STEPS else 0
