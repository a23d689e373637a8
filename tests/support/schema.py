"""The JSON schemas of the protocol, and what of a project's records does not fit them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from atftctl import protocol

FOLDER = Path(protocol.__file__).parent / "schema"


def schema(name: str) -> jsonschema.Draft202012Validator:
    loaded = json.loads((FOLDER / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(loaded)
    return jsonschema.Draft202012Validator(loaded)


def problems(name: str, record: object) -> list[str]:
    return [f"{record}: {error.message}" for error in schema(name).iter_errors(record)]


def checked_events(root: Path) -> dict[str, dict[str, Any]]:
    """The last event of each name below `root`. Fails where an event, or a heartbeat, does not fit its schema."""
    seen = {}
    validator = schema("event")
    for path in root.rglob("events.jsonl*"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            assert not [error.message for error in validator.iter_errors(record)], line
            seen[record["event"]] = record
    for path in root.rglob("heartbeat.json"):
        assert not problems("heartbeat", json.loads(path.read_text()))
    return seen
