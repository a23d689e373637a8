"""What an operation left behind: its evidence, and the events of the trainers before and after it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.domain.record import record
from atftctl.domain.snapshot import Snapshot
from atftctl.host.errors import HostError
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import read_bytes
from atftctl.observe.metrics.runs import all_events
from atftctl.observe.snapshots import catalog
from atftctl.protocol.messages import from_record
from atftctl.state.layout import Layout

ID = re.compile(r"[0-9]{8}_[0-9]{6}[0-9A-Za-z_-]{0,40}")  # what the id of an operation looks like
LIMIT = 4 << 20  # bytes that are read of one file
MOST = 100  # operations whose evidence is searched, the newest
Event = Mapping[str, Any]


@record
class Kept:
    """The evidence of one operation. `names`: its files. `plan`: the texts of the plan's steps. `title`: that of the
    plan, or "". Both can be translated where the evidence has their templates. `process`: the trainer
    before the change. `diagnosis`: what was wrong with it, in a line. `diff`: of the configs. `metrics`: the newest
    rows of that time. `events`: of the trainers until then. `unread`: files that were expected and can't be read."""

    folder: str
    names: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    title: str = ""
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
    steps, title = _texts(plan or {})
    return Kept(
        name,
        names,
        plan=steps,
        title=title,
        process=process,
        diagnosis=_text(content.read("diagnosis.txt")).strip(),
        diff=tuple(_text(content.read("change.diff")).splitlines()),
        metrics=content.read(_kept_name(protocol.METRICS), missing_ok=True) or b"",
        events=tuple(_events(content.read(_kept_name(protocol.EVENTS), missing_ok=True) or b"")),
        unread=tuple(content.unread),
    )


def _texts(plan: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """(the steps of a plan, its title). A text of the record counts only where it says what the step says."""
    steps, texts = plan.get("steps"), plan.get("texts")
    known = tuple(map(str, steps)) if isinstance(steps, list) else ()
    records = texts.get("steps") if isinstance(texts, Mapping) else None
    if not isinstance(texts, Mapping) or not isinstance(records, list) or len(records) != len(known):
        return known, ""
    made = tuple(map(_from_record, records))
    steps_said = tuple(new if new == old else old for new, old in zip(made, known, strict=True))
    return steps_said, _from_record(texts.get("title"))


def _from_record(value: Any) -> str:
    try:
        return from_record(value)
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        return ""


def events(layout: Layout) -> tuple[Event, ...]:
    """The events of all trainers, the oldest first, as far as they are kept."""
    return tuple(event for event in all_events(layout.root) if "rank" not in event)


class Contents:
    """Finds what a file of the project held at some time, by its SHA-256: in the evidence of operations, in the
    project, in snapshots."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def find(self, path: str, digest: str) -> bytes | None:
        """The content; None where it is nowhere any more."""
        try:
            places = [self.layout.place(path)]
        except (OSError, HostError):
            return None
        copies = [snapshot.where(file) for snapshot in self._snapshots for file in (snapshot.file(path),)
                  if file and file.sha256 == digest]  # fmt: skip
        places += [*self._evidence.get(_kept_name(path), ()), *(self.layout.root / copy for copy in copies)]
        return next((data for place in places if (data := _matching(place, digest)) is not None), None)

    @cached_property
    def _evidence(self) -> dict[str, list[Path]]:
        """The files of the newest operations, by name, the newest first."""
        known: dict[str, list[Path]] = {}
        for operation in reversed(_names(self.layout.operations)[-MOST:]):
            for name in _names(self.layout.operations / operation):
                known.setdefault(name, []).append(self.layout.operations / operation / name)
        return known

    @cached_property
    def _snapshots(self) -> tuple[Snapshot, ...]:
        return catalog.list_snapshots(self.layout)[::-1]


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
