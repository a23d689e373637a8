"""What an operation left behind: its evidence, and the events of the trainers before and after it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.domain.record import record
from atftctl.host.errors import HostError
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import read_bytes
from atftctl.observe.metrics.runs import all_events
from atftctl.observe.snapshots import catalog
from atftctl.state.layout import Layout

ID = re.compile(r"[0-9]{8}_[0-9]{6}[0-9A-Za-z_-]{0,40}")  # what the id of an operation looks like
LIMIT = 4 << 20  # bytes that are read of one file
MOST = 100  # operations whose evidence is searched, the newest
Event = Mapping[str, Any]


@record
class Kept:
    """The evidence of one operation. `names`: its files. `plan`: the texts of the plan's steps. `process`: the trainer
    before the change. `diagnosis`: what was wrong with it, in a line. `diff`: of the configs. `metrics`: the newest
    rows of that time. `events`: of the trainers until then. `unread`: files that were expected and can't be read."""

    folder: str
    names: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    process: Mapping[str, Any] | None = None
    diagnosis: str = ""
    diff: tuple[str, ...] = ()
    metrics: bytes = b""
    events: tuple[Event, ...] = ()
    unread: tuple[str, ...] = ()


def kept(layout: Layout, operation: str) -> Kept:
    """The evidence of an operation, as far as it is there. Raises nothing."""
    folder = layout.operations / operation
    name = f"{layout.operations.relative_to(layout.root)}/{operation}"
    if not ID.fullmatch(operation):
        return Kept(name)
    names, content = _names(folder), _Files(folder)
    plan, process = _object(content.read("plan.json")), _object(content.read("process.json"))
    steps = plan.get("steps") if plan else None
    return Kept(
        name,
        names,
        plan=tuple(map(str, steps)) if isinstance(steps, list) else (),
        process=process,
        diagnosis=_text(content.read("diagnosis.txt")).strip(),
        diff=tuple(_text(content.read("change.diff")).splitlines()),
        metrics=content.read(_kept_name(protocol.METRICS), missing_ok=True) or b"",
        events=tuple(_events(content.read(_kept_name(protocol.EVENTS), missing_ok=True) or b"")),
        unread=tuple(content.unread),
    )


def events(layout: Layout) -> tuple[Event, ...]:
    """The events of all trainers, the oldest first, as far as they are kept."""
    return tuple(event for event in all_events(layout.root) if "rank" not in event)


def content_of(layout: Layout, path: str, digest: str, kept: Kept) -> bytes | None:
    """The content that a file of the project had, by its SHA-256: in the evidence, in the project, in a snapshot; None
    where it is nowhere any more."""
    try:
        places = [layout.root / kept.folder / _kept_name(path), layout.place(path)]
    except HostError:
        return None
    others = _names(layout.operations)[-MOST:]  # a later operation has kept what this one has written
    places += [layout.operations / other / _kept_name(path) for other in others]
    for place in places:
        if (data := _matching(place, digest)) is not None:
            return data
    for snapshot in reversed(catalog.list_snapshots(layout)):
        file = snapshot.file(path)
        if (
            file
            and file.sha256 == digest
            and (data := _matching(layout.root / snapshot.where(file), digest)) is not None
        ):
            return data
    return None


class _Files:
    """Reads the files of a folder. `unread`: those that could not be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unread: list[str] = []

    def read(self, name: str, *, missing_ok: bool = False) -> bytes | None:
        try:
            return read_bytes(self.folder / name, LIMIT)
        except FileNotFoundError:
            self.unread += [] if missing_ok else [name]
        except (OSError, HostError):
            self.unread.append(name)
        return None


def _names(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(folder)))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return ()


def _kept_name(path: str) -> str:
    return path.replace("/", "__")


def _matching(path: Path, digest: str) -> bytes | None:
    try:
        data = read_bytes(path, LIMIT)
    except (OSError, HostError):
        return None
    return data if sha256_bytes(data) == digest else None


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _object(data: bytes | None) -> dict[str, Any] | None:
    try:
        value = json.loads(data or b"null")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _events(data: bytes) -> list[Event]:
    events = [protocol.parse_event(line) for line in data.splitlines()]
    return [event for event in events if event and "rank" not in event]
