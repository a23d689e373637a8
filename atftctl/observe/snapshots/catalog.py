"""List and find snapshots. A folder without a valid manifest is not a snapshot."""

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
from atftctl.protocol.messages import joined, tr
from atftctl.state.checked_copies import checked
from atftctl.state.layout import MANIFEST, PIN, SNAPSHOT_NAME, Layout, is_reserved
from atftctl.state.sealed_records import unseal
from atftctl.state.verified import passes

_manifests: dict[str, tuple[Identity, Snapshot]] = {}  # by path; an operation lists snapshots several times


def list_snapshots(layout: Layout) -> tuple[Snapshot, ...]:
    """The valid snapshots, oldest first. The others are for `backup list` and `backup verify` to report; a rollback
    ignores them."""
    return scan(layout)[0]


def scan(layout: Layout) -> tuple[tuple[Snapshot, ...], dict[str, str]]:
    """(the valid snapshots, oldest first; the reason for each that is not valid, by name). A folder without a manifest
    counts only where its name is that of a snapshot."""
    snapshots: list[Snapshot] = []
    broken: dict[str, str] = {}
    passed = passes(layout)
    backups, project = layout.backups.relative_to(layout.root), layout.root.stat()
    for name in _folders(layout):
        if why := _untrusted(layout.snapshot(name), project):
            broken[name] = why
            continue
        try:
            snapshot = _read(layout, name, str(backups / name))
        except FileNotFoundError:
            if SNAPSHOT_NAME.fullmatch(name):
                broken[name] = tr("it has no manifest")
        except (OSError, HostError, ValueError, KeyError, TypeError) as error:
            broken[name] = reason(error)
        else:
            verified = snapshot.passed or passed_by(snapshot.digests(), passed)
            snapshots.append(snapshot if snapshot.passed else replace(snapshot, passed=verified))
    return tuple(sorted(snapshots, key=lambda snapshot: (snapshot.number, snapshot.id))), broken


def find(layout: Layout, snapshots: tuple[Snapshot, ...], name: str) -> Snapshot:
    """The snapshot with this id or label, the only one whose id or label begins with `name`, or `latest` or
    `last-good`. Raises Refused, UsageError."""
    if not snapshots:
        raise Refused(tr("there is no snapshot yet"), hint=tr("take one: atftctl backup"))
    if not name:
        raise UsageError(
            tr("no snapshot was named"),
            hint=tr(
                "name a snapshot by its id or label, or as latest or last-good; list the snapshots: atftctl backup list"
            ),
        )
    if name in BY_WORD:
        return BY_WORD[name](layout, snapshots)
    matches = [snapshot for snapshot in snapshots if name in (snapshot.id, snapshot.label)]
    matches = matches or [
        snapshot for snapshot in snapshots if snapshot.id.startswith(name) or snapshot.label.startswith(name)
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = joined(", ", [snapshot.id for snapshot in matches])
        raise UsageError(tr("{name!r} is ambiguous: it matches {ids}", name=name, ids=ids))
    known = [snapshot.id for snapshot in snapshots] + [snapshot.label for snapshot in snapshots if snapshot.label]
    raise UsageError(
        tr("there is no snapshot {name!r}", name=name), hint=nearest(name, [*known, "latest", "last-good"])
    )


def newest(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot | None:
    """The snapshot that `latest` means: the newest that a user asked for, else the newest that an operation took before
    its change. A snapshot with known damage is skipped, unless there is no other. None where there is no snapshot."""
    known = checked(layout)
    asked = [snapshot for snapshot in snapshots if not snapshot.operation]
    taken = [snapshot for snapshot in snapshots if snapshot.operation]
    ordered = [*reversed(asked), *reversed(taken)]
    undamaged = (snapshot for snapshot in ordered if not known_damage(layout, snapshot, known))
    return next(undamaged, ordered[0] if ordered else None)


def last_good(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot | None:
    """The newest verified-good snapshot without known damage; None where there is none."""
    known = checked(layout)
    verified = (snapshot for snapshot in reversed(snapshots) if snapshot.verified)
    return next((snapshot for snapshot in verified if not known_damage(layout, snapshot, known)), None)


def reliance(layout: Layout, snapshots: tuple[Snapshot, ...], recheck_s: float) -> LinkPolicy:
    """Which copies a new snapshot may link to. `recheck_s`: see LinkPolicy."""
    return LinkPolicy(snapshots, checked(layout), recheck_s)


def known_damage(layout: Layout, snapshot: Snapshot, known: Checked) -> str:
    """The first problem of a snapshot's copies that can be seen without reading them: a copy is missing, has another
    size, is behind a symlink, or was damaged when it was last hashed. "" where there is none."""
    top = str(layout.snapshot(snapshot.id))
    for folder in {file.path.rpartition("/")[0] for file in snapshot.files}:
        parts = folder.split("/") if folder else []
        if any(Path(top, *parts[:end]).is_symlink() for end in range(len(parts) + 1)):
            return tr("{path} is a symlink", path=folder or snapshot.id)
    for file in snapshot.files:
        if wrong := copy_of(top, file, known)[1]:
            return wrong
    return ""


def copy_of(top: str, file: SnapshotFile, known: Checked) -> tuple[str, str]:
    """Look at one copy without reading it: (its key on disk, or "" where there is nothing to hash; what is wrong, or
    ""). `top`: the folder of its snapshot."""
    try:
        facts = os.lstat(f"{top}/{file.path}")
    except OSError as error:
        return "", tr("{path}: {reason}", path=file.path, reason=reason(error))
    if file.is_link:
        same = stat.S_ISLNK(facts.st_mode) and f"{LINK}{Path(top, file.path).readlink()}" == file.sha256
        return "", "" if same else tr("{path} is not the symlink that was copied", path=file.path)
    if not stat.S_ISREG(facts.st_mode):
        return "", tr("{path} is not a regular file any more", path=file.path)
    if facts.st_size != file.size:
        size, recorded = facts.st_size, file.size
        return "", tr("{path} has {size:,} bytes, not {recorded:,}", path=file.path, size=size, recorded=recorded)
    key = inode_key(facts)
    damaged = found_damaged(known, key, file)
    return key, tr("{path} was damaged when it was last hashed", path=file.path) if damaged else ""


def damaged_one(layout: Layout, name: str, why: str) -> Snapshot:
    """A folder without a valid manifest as a snapshot of the files in it, so that it can be removed."""
    top = layout.snapshot(name)
    paths = [os.path.relpath(f"{folder}/{file}", top) for folder, _, names in os.walk(top) for file in names]
    files = tuple(SnapshotFile(path, "", 0, 0) for path in sorted(paths))
    pinned, folder = os.path.lexists(top / PIN), str(top.relative_to(layout.root))
    return Snapshot(name, "", "", tr("damaged: {reason}", reason=why), files, pinned=pinned, folder=folder)


def _find_last_good(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot:
    good = last_good(layout, snapshots)
    if good is None:
        raise Refused(
            tr("no undamaged snapshot is verified-good"),
            hint=tr("run atftctl verify, then atftctl backup; or name a snapshot"),
        )
    return good


def _find_latest(layout: Layout, snapshots: tuple[Snapshot, ...]) -> Snapshot:
    return newest(layout, snapshots) or snapshots[-1]


BY_WORD = {"last-good": _find_last_good, "latest": _find_latest}


def _folders(layout: Layout) -> list[str]:
    """The names of folders that may be snapshots. A symlink counts only where its name is that of a snapshot."""
    try:
        names = os.listdir(layout.backups)  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return []
    folders = [name for name in names if not name.startswith(".") and layout.snapshot(name).is_dir()]
    return [name for name in folders if SNAPSHOT_NAME.fullmatch(name) or not layout.snapshot(name).is_symlink()]


def _untrusted(folder: Path, project: os.stat_result) -> str:
    """Why nothing may be restored from this folder, whatever its manifest says; "" where it may."""
    facts = folder.lstat()
    return tr("it is a symlink") if stat.S_ISLNK(facts.st_mode) else trust.why_untrusted(facts, project)


def _read(layout: Layout, name: str, folder: str) -> Snapshot:
    """The snapshot of this name. `folder`: its path, relative to the project. Raises OSError, HostError, ValueError,
    KeyError, TypeError."""
    path = layout.manifest(name)
    cached, current = _manifests.get(str(path)), identity(path.stat())
    if cached is None or cached[0] != current:
        snapshot = from_manifest(name, unseal(read_bytes(path), MANIFEST), folder=folder)
        if wrong := [file.path for file in snapshot.files if not _may_hold(file.path)]:
            raise ValueError(tr("the manifest names {path!r}, which a snapshot can't hold", path=wrong[0]))
        cached = (current, snapshot)
        if mtime_settled(current):
            _manifests[str(path)] = cached
    pinned = os.path.lexists(layout.snapshot(name) / PIN)
    return replace(cached[1], pinned=True) if pinned else cached[1]


def _may_hold(path: str) -> bool:
    """May a snapshot hold a file of this path?"""
    try:
        check_relative(path)
    except OutsideProjectError:
        return False
    return not is_reserved(path)
