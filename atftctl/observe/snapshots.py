"""The snapshots that there are. A folder without a whole manifest is no snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from atftctl.domain.errors import WrongUsage
from atftctl.domain.facts import Snapshot, SnapshotFile
from atftctl.host.layout import Layout
from atftctl.host.records import read_lines
from atftctl.observe.binding import nearest

MANIFEST = "manifest.json"
VERSION = 1


def list_snapshots(layout: Layout) -> tuple[Snapshot, ...]:
    """Oldest first."""
    if not layout.backups.is_dir():
        return ()
    passed = passed_digests(layout)
    found = []
    for folder in layout.backups.iterdir():
        if folder.name.startswith(".") or not (folder / MANIFEST).is_file():
            continue
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
            snapshot = _snapshot(folder.name, manifest, passed)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # `backup verify` reports it; a rollback must not trip over it
        found.append(snapshot)
    return tuple(sorted(found, key=lambda one: (datetime.fromisoformat(one.created), one.id)))


def _snapshot(name: str, manifest: Mapping[str, Any], passed: list[dict[str, str]]) -> Snapshot:
    if manifest["version"] != VERSION:
        raise ValueError(f"manifest of version {manifest['version']}")
    files = tuple(
        SnapshotFile(str(one["path"]), str(one["sha256"]), int(one["size"]), int(one["mode"]))
        for one in manifest["files"]
    )
    digests = {file.path: file.sha256 for file in files}
    return Snapshot(
        id=name,
        created=_utc(str(manifest["created"])),
        label=str(manifest.get("label", "")),
        reason=str(manifest.get("reason", "")),
        files=files,
        commit=str(manifest.get("commit", "")),
        verified=any(checked.items() <= digests.items() for checked in passed),
        operation=str(manifest.get("operation", "")),
    )


def _utc(stamp: str) -> str:
    """Operators sit in many time zones: one clock for all. Raises ValueError for what is no time."""
    return datetime.fromisoformat(stamp).astimezone(UTC).isoformat()


def passed_digests(layout: Layout) -> list[dict[str, str]]:
    """File digests that a passing `verify` checked, newest last."""
    digests = [line.get("digests") for line in read_lines(layout.verified)]
    return [
        {str(path): str(digest) for path, digest in one.items()} for one in digests if isinstance(one, dict) and one
    ]


def newest(snapshots: tuple[Snapshot, ...]) -> Snapshot:
    """What `latest` means: the newest that was asked for; else the newest that an operation took for its safety."""
    return ([one for one in snapshots if not one.operation] or list(snapshots))[-1]


def find(snapshots: tuple[Snapshot, ...], word: str) -> Snapshot:
    """By id, unique beginning of an id, label, `latest` (not one that an operation took for its own safety) or
    `last-good`."""
    if not snapshots:
        raise WrongUsage("there is no snapshot yet", stands="nothing has changed", then="take one: atftctl backup")
    if not word:
        raise WrongUsage("which snapshot?", then="an id, a label, latest or last-good; atftctl backup list shows them")
    if word == "last-good":
        good = [one for one in snapshots if one.verified]
        if not good:
            raise WrongUsage(
                "no snapshot is verified-good yet",
                stands="nothing has changed",
                then="run atftctl verify, then atftctl backup; or name a snapshot",
            )
        return good[-1]
    if word == "latest":
        return newest(snapshots)
    exact = [one for one in snapshots if word in (one.id, one.label)]
    exact = exact or [one for one in snapshots if one.id.startswith(word) or one.label.startswith(word)]
    if len(exact) == 1:
        return exact[0]
    if exact:
        raise WrongUsage(f"{word!r} could be {', '.join(one.id for one in exact)}", stands="nothing has changed")
    names = [one.id for one in snapshots] + [one.label for one in snapshots if one.label]
    raise WrongUsage(
        f"no snapshot {word!r}",
        stands="nothing has changed",
        then=nearest(word, [*names, "latest", "last-good"]),
    )
