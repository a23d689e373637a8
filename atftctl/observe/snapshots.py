"""The snapshots that there are. A folder without a whole manifest is no snapshot."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from atftctl.domain.errors import WrongUsage
from atftctl.domain.snapshot import Passed, Passes, Reliance, Snapshot, from_manifest, passed_by
from atftctl.host.layout import PIN, Layout
from atftctl.host.records import BadRecordError, read_lines, unseal
from atftctl.observe.binding import nearest


def list_snapshots(layout: Layout) -> tuple[Snapshot, ...]:
    """The whole ones, oldest first. `backup list` and `backup verify` tell of the others; a rollback must not trip
    over them."""
    return scan(layout)[0]


def scan(layout: Layout) -> tuple[tuple[Snapshot, ...], dict[str, str]]:
    """Whole snapshots, oldest first; and the folders that are none, with the reason."""
    found: list[Snapshot] = []
    broken: dict[str, str] = {}
    try:
        names = os.listdir(layout.backups)  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return (), {}
    passed = passes(layout)
    where = layout.backups.relative_to(layout.root)
    for name in names:
        if name.startswith(".") or not layout.snapshot(name).is_dir():
            continue
        try:
            body = unseal(layout.manifest(name).read_bytes(), "its manifest")
            pinned = (layout.snapshot(name) / PIN).exists()
            snapshot = from_manifest(name, body, pinned=pinned, folder=str(where / name))
        except FileNotFoundError:
            broken[name] = "it has no manifest"
        except (OSError, BadRecordError, ValueError, KeyError, TypeError) as error:
            broken[name] = getattr(error, "strerror", None) or str(error)
        else:
            found.append(
                snapshot if snapshot.passed else replace(snapshot, passed=passed_by(snapshot.digests(), passed))
            )
    return tuple(sorted(found, key=lambda one: (one.number, one.id))), broken


def passes(layout: Layout) -> Passes:
    """File digests that a passing `verify` checked, and its checks, oldest first."""
    found = []
    for line in read_lines(layout.verified):
        digests, checks = line.get("digests"), line.get("checks")
        if isinstance(digests, dict) and digests:
            checks = {str(name): str(words) for name, words in checks.items()} if isinstance(checks, dict) else {}
            found.append(({str(path): str(one) for path, one in digests.items()}, Passed(str(line.get("at")), checks)))
    return found


def reliance(layout: Layout, snapshots: tuple[Snapshot, ...], recheck_s: float) -> Reliance:
    """Which copies a new snapshot may link to."""
    return Reliance(snapshots, checked(layout), recheck_s)


def checked(layout: Layout) -> dict[str, tuple[str, str]]:
    """When copies were hashed last, by their identity on disk. Lost or unreadable, copies are hashed again: no harm."""
    try:
        found = json.loads(layout.checked.read_bytes())
        return {str(key): (str(digest), str(at)) for key, (digest, at) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


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
