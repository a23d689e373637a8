"""Sealed records: JSON with its own digest, so that a torn or edited one is known for what it is.

A record `OP.STATE.json` is visible only when whole and durable: temp, fsync, rename, fsync of the folder.
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

VERSION = 1
LONG = 100_000


class BadRecordError(HostError):
    """A record that is not whole, was edited, or comes from a newer version."""


def seal(body: Mapping[str, Any]) -> bytes:
    text = json.dumps(body, ensure_ascii=False, sort_keys=True)
    record = {"version": VERSION, "sha256": sha256_bytes(_bytes(text)), "body": body}
    lines = 1 if len(text) < LONG else None  # json indents in Python, not in C: a second for ten thousand files
    return _bytes(json.dumps(record, ensure_ascii=False, sort_keys=True, indent=lines))


def unseal(data: bytes, name: str) -> dict[str, Any]:
    try:
        record = json.loads(data)
        version, body, digest = record["version"], record["body"], record["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadRecordError(f"{name} is not a whole record") from None
    if not isinstance(body, dict):
        raise BadRecordError(f"{name} is not a whole record")
    if type(version) is not int or version != VERSION:
        raise BadRecordError(f"{name} is of version {version}; this atftctl knows version {VERSION}")
    if _digest(body) != digest:
        raise BadRecordError(f"{name} was changed after it was written")
    return dict(body)


def _digest(body: Mapping[str, Any]) -> str:
    return sha256_bytes(_bytes(json.dumps(body, ensure_ascii=False, sort_keys=True)))


def plain(value: Any, indent: int | None = None) -> bytes:
    """JSON for people to read, in bytes."""
    return _bytes(json.dumps(value, ensure_ascii=False, indent=indent))


def _bytes(text: str) -> bytes:
    """File names may hold bytes that are no UTF-8; as lone surrogates they pass, and json.loads takes them back."""
    return text.encode("utf-8", "surrogatepass")


def write(folder: Path, operation: str, state: str, body: Mapping[str, Any]) -> None:
    write_durably(folder / f"{operation}.{state}.json", seal(body))


def read(folder: Path, operation: str, state: str) -> dict[str, Any] | None:
    path = folder / f"{operation}.{state}.json"
    try:
        return unseal(read_bytes(path), path.name)
    except FileNotFoundError:
        return None
    except (NotRegularError, SymlinkError) as error:
        raise BadRecordError(str(error)) from None


def try_read(path: Path) -> dict[str, Any]:
    """The body; empty where there is none that can be trusted."""
    try:
        return unseal(read_bytes(path), path.name)
    except (OSError, HostError):
        return {}


def try_json(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds; empty where it holds none, or can't be read."""
    try:
        found = json.loads(reading.try_read(path) or b"null")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; lines that are not whole are passed over, a missing file is empty."""
    lines = (reading.try_read(path) or b"").splitlines()
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def states(folder: Path) -> dict[str, set[str]]:
    """Which states of which operations have a record, oldest operation first."""
    found: dict[str, set[str]] = {}
    if not folder.is_dir():
        return found
    for path in sorted(folder.glob("*.json")):
        operation, _, state = path.name.removesuffix(".json").rpartition(".")
        if operation and not operation.startswith("."):
            found.setdefault(operation, set()).add(state)
    return found
