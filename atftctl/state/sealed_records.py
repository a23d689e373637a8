"""Sealed records: JSON with its own SHA-256, so that a torn or edited record is noticed. Also plain JSON and JSON
lines.

A record `OPERATION.STATE.json` becomes visible only when it is complete and durable: temp file, fsync, rename, fsync of
the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atftctl.host.errors import HostError, NotRegularError, SymlinkError
from atftctl.host.files import reading
from atftctl.host.files.durable import write_durably
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import tr

VERSION = 1
LONG = 100_000  # characters; a longer record is written without indents


class BadRecordError(HostError):
    """A record is not complete, was edited, or was written by a newer version of atftctl."""


def seal(body: Mapping[str, Any]) -> bytes:
    """The record of a body, as JSON."""
    text = json.dumps(body, ensure_ascii=False, sort_keys=True)
    record = {"version": VERSION, "sha256": sha256_bytes(_bytes(text)), "body": body}
    indent = 1 if len(text) < LONG else None  # json indents in Python, not in C: a second for ten thousand files
    return _bytes(json.dumps(record, ensure_ascii=False, sort_keys=True, indent=indent))


def unseal(data: bytes, name: str) -> dict[str, Any]:
    """The body of a record. `name`: of its file, for the error. Raises BadRecordError."""
    try:
        record = json.loads(data)
        version, body, digest = record["version"], record["body"], record["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadRecordError(tr("{name} is not a complete record", name=name)) from None
    if not isinstance(body, dict):
        raise BadRecordError(tr("{name} is not a complete record", name=name))
    if type(version) is not int or version != VERSION:
        raise BadRecordError(
            tr(
                "{name} has version {version}; this atftctl reads version {known}",
                name=name,
                version=version,
                known=VERSION,
            )
        )
    if _digest(body) != digest:
        raise BadRecordError(tr("{name} was changed after it was written", name=name))
    return dict(body)


def plain(value: Any, indent: int | None = None) -> bytes:
    """The value as JSON for people to read, in bytes."""
    return _bytes(json.dumps(value, ensure_ascii=False, indent=indent))


def write(folder: Path, operation: str, state: str, body: Mapping[str, Any]) -> None:
    """Write the record of one state of an operation durably. Raises OSError."""
    write_durably(folder / f"{operation}.{state}.json", seal(body))


def read(folder: Path, operation: str, state: str) -> dict[str, Any] | None:
    """The body of the record of one state of an operation; None where there is none. Raises BadRecordError, OSError."""
    path = folder / f"{operation}.{state}.json"
    try:
        return unseal(read_bytes(path), path.name)
    except FileNotFoundError:
        return None
    except (NotRegularError, SymlinkError) as error:
        raise BadRecordError(error.message) from None


def try_read(path: Path) -> dict[str, Any]:
    """The body of a record; empty where the file is missing, or holds no valid record."""
    try:
        return unseal(read_bytes(path), path.name)
    except (OSError, HostError):
        return {}


def try_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where the file holds no object, or can't be read."""
    try:
        value = json.loads(reading.try_read(path) or b"null")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines. Lines that are not complete are skipped; a missing file has no lines."""
    lines = (reading.try_read(path) or b"").splitlines()
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def states(folder: Path) -> dict[str, set[str]]:
    """The states that have a record, by operation, oldest operation first."""
    recorded: dict[str, set[str]] = {}
    if not folder.is_dir():
        return recorded
    for path in sorted(folder.glob("*.json")):
        operation, _, state = path.name.removesuffix(".json").rpartition(".")
        if operation and not operation.startswith("."):
            recorded.setdefault(operation, set()).add(state)
    return recorded


def _digest(body: Mapping[str, Any]) -> str:
    return sha256_bytes(_bytes(json.dumps(body, ensure_ascii=False, sort_keys=True)))


def _bytes(text: str) -> bytes:
    """UTF-8. Bytes of a file name that are not UTF-8 pass as lone surrogates, and json.loads reads them again."""
    return text.encode("utf-8", "surrogatepass")
