"""The snapshots that there are. A folder without a whole manifest is no snapshot."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.snapshot import (
    Checked,
    LinkPolicy,
    Snapshot,
    SnapshotFile,
    found_damaged,
    from_manifest,
    passed_by,
)
from atftctl.domain.text import nearest
from atftctl.host.errors import HostError, OutsideProjectError, reason
from atftctl.host.files import trust
from atftctl.host.files.containment import check_relative
from atftctl.host.files.fingerprint import LINK, Identity, identity, inode_key, mtime_settled
from atftctl.host.files.reading import read_bytes
from atftctl.state.checked_copies import checked
from atftctl.state.layout import PIN, SNAPSHOT_NAME, Layout, is_reserved
from atftctl.state.sealed_records import unseal
from atftctl.state.verified import passes

_read: dict[str, tuple[Identity, Snapshot]] = {}  # an operation looks several times; a manifest never changes


def list_snapshots(layout: Layout) -> tuple[Snapshot, ...]:
    """The whole ones, oldest first. `backup list` and `backup verify` tell of the others; a rollback must not trip
    over them."""
    return scan(layout)[0]


def scan(layout: Layout) -> tuple[tuple[Snapshot, ...], dict[str, str]]:
    """Whole snapshots, oldest first; and those that are not, with the reason. A folder that neither has a manifest nor
    is named like a snapshot is somebody's own."""
    found: list[Snapshot] = []
    broken: dict[str, str] = {}
    passed = passes(layout)
    where, project = layout.backups.relative_to(layout.root), layout.root.stat()
    for name in _folders(layout):
        if why := _untrusted(layout.snapshot(name), project):
            broken[name] = why
            continue
        try:
            snapshot = _one(layout, name, str(where / name))
        except FileNotFoundError:
            if SNAPSHOT_NAME.fullmatch(name):
                broken[name] = "it has no manifest"
        except (OSError, HostError, ValueError, KeyError, TypeError) as error:
            broken[name] = reason(error)
        else:
            found.append(
                snapshot if snapshot.passed else replace(snapshot, passed=passed_by(snapshot.digests(), passed))
            )
    return tuple(sorted(found, key=lambda one: (one.number, one.id))), broken


def _untrusted(folder: Path, project: os.stat_result) -> str:
    """Why nothing is restored from this folder, whatever its manifest says; "" where nothing stands against it."""
    facts = folder.lstat()
    return "it is a symlink" if stat.S_ISLNK(facts.st_mode) else trust.why_untrusted(facts, project)


def _folders(layout: Layout) -> list[str]:
    """Names of what may be a snapshot. A symlink is none, unless it stands where one was."""
    try:
        names = os.listdir(layout.backups)  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [name for name in names if not name.startswith(".") and layout.snapshot(name).is_dir()]
    return [name for name in found if SNAPSHOT_NAME.fullmatch(name) or not layout.snapshot(name).is_symlink()]


def _one(layout: Layout, name: str, folder: str) -> Snapshot:
    """Raises what reading and binding a manifest raises."""
    path = layout.manifest(name)
    read, seen = _read.get(str(path)), identity(path.stat())
    if read is None or read[0] != seen:
        snapshot = from_manifest(name, unseal(read_bytes(path), "its manifest"), folder=folder)
        if wrong := [file.path for file in snapshot.files if not _may_hold(file.path)]:
            raise ValueError(f"its manifest names {wrong[0]!r}, which no snapshot holds")
        read = (seen, snapshot)
        if mtime_settled(seen):
            _read[str(path)] = read
    pinned = os.path.lexists(layout.snapshot(name) / PIN)
    return replace(read[1], pinned=True) if pinned else read[1]


def _may_hold(path: str) -> bool:
    """May a snapshot hold a file of this name?"""
    try:
        check_relative(path)
    except OutsideProjectError:
        return False
    return not is_reserved(path)


def damaged_one(layout: Layout, name: str, why: str) -> Snapshot:
    """A folder without a whole manifest, as far as it can be told: for whoever takes it away."""
    top = layout.snapshot(name)
    paths = [os.path.relpath(f"{folder}/{one}", top) for folder, _, names in os.walk(top) for one in names]
    files = tuple(SnapshotFile(path, "", 0, 0) for path in sorted(paths))
    pinned = os.path.lexists(top / PIN)
    return Snapshot(name, "", "", f"damaged: {why}", files, pinned=pinned, folder=str(top.relative_to(layout.root)))


def known_damage(layout: Layout, snapshot: Snapshot, known: Checked) -> str:
    """The first thing that is wrong with its copies, as far as can be told without reading them: one is gone, has
    another size, lies behind a symlink, or was found damaged when it was hashed last. "" where nothing is."""
    top = str(layout.snapshot(snapshot.id))
    for folder in {file.path.rpartition("/")[0] for file in snapshot.files}:
        parts = folder.split("/") if folder else []
        if any(Path(top, *parts[:end]).is_symlink() for end in range(len(parts) + 1)):
            return f"{folder or snapshot.id} is a symlink"
    for file in snapshot.files:
        if wrong := copy_of(top, file, known)[1]:
            return wrong
    return ""


def copy_of(top: str, file: SnapshotFile, known: Checked) -> tuple[str, str]:
    """One copy, unread: its key on disk, "" where there is nothing to be hashed; and what is wrong with it."""
    try:
        facts = os.lstat(f"{top}/{file.path}")
    except OSError as error:
        return "", f"{file.path}: {reason(error)}"
    if file.is_link:
        same = stat.S_ISLNK(facts.st_mode) and f"{LINK}{Path(top, file.path).readlink()}" == file.sha256
        return "", "" if same else f"{file.path} is not the symlink that it was"
    if not stat.S_ISREG(facts.st_mode):
        return "", f"{file.path} is no regular file any more"
    if facts.st_size != file.size:
        return "", f"{file.path} has {facts.st_size:,} bytes, not {file.size:,}"
    key = inode_key(facts)
    damaged = found_damaged(known, key, file)
    return key, f"{file.path} is damaged: found when it was hashed last" if damaged else ""


def last_good(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot | None:
    """The newest verified-good one whose copies are not known to be damaged."""
    known = checked(layout)
    return next((one for one in reversed(snapshots) if one.verified and not known_damage(layout, one, known)), None)


def reliance(layout: Layout, snapshots: tuple[Snapshot, ...], recheck_s: float) -> LinkPolicy:
    """Which copies a new snapshot may link to."""
    return LinkPolicy(snapshots, checked(layout), recheck_s)


def newest(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot | None:
    """What `latest` means: the newest that was asked for; else the newest that an operation took for its safety. One
    whose copies are known to be damaged is passed over, unless there is no other."""
    known = checked(layout)
    asked = [snapshot for snapshot in snapshots if not snapshot.operation]
    taken = [snapshot for snapshot in snapshots if snapshot.operation]
    ordered = [*reversed(asked), *reversed(taken)]
    whole = (snapshot for snapshot in ordered if not known_damage(layout, snapshot, known))
    return next(whole, ordered[0] if ordered else None)


def _find_last_good(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot:
    good = last_good(layout, snapshots)
    if good is None:
        raise Refused(
            "no whole snapshot is verified-good", hint="run atftctl verify, then atftctl backup; or name a snapshot"
        )
    return good


def _find_latest(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot:
    return newest(layout, snapshots) or snapshots[-1]


BY_WORD = {"last-good": _find_last_good, "latest": _find_latest}


def find(layout: Layout, snapshots: tuple[Snapshot, ...], word: str) -> Snapshot:
    """By id, unique beginning of an id, label, `latest` (not one that an operation took for its own safety) or
    `last-good`."""
    if not snapshots:
        raise Refused("there is no snapshot yet", hint="take one: atftctl backup")
    if not word:
        raise UsageError("which snapshot?", hint="an id, a label, latest or last-good; atftctl backup list shows them")
    if word in BY_WORD:
        return BY_WORD[word](layout, snapshots)
    exact = [one for one in snapshots if word in (one.id, one.label)]
    exact = exact or [one for one in snapshots if one.id.startswith(word) or one.label.startswith(word)]
    if len(exact) == 1:
        return exact[0]
    if exact:
        raise UsageError(f"{word!r} could be {', '.join(one.id for one in exact)}")
    names = [one.id for one in snapshots] + [one.label for one in snapshots if one.label]
    raise UsageError(
        f"no snapshot {word!r}",
        hint=nearest(word, [*names, "latest", "last-good"]),
    )
