"""Are the copies still what they were? Each copy's bytes on disk are hashed once, however many snapshots share them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atftctl.domain.snapshot import LinkPolicy, Snapshot, SnapshotFile
from atftctl.host.copying.copier import Progress, hash_file, no_progress
from atftctl.host.errors import HostError, reason
from atftctl.host.files.fingerprint import sha256_file
from atftctl.host.files.reading import read_bytes
from atftctl.observe.snapshots.catalog import copy_of
from atftctl.state.layout import CODE_DIFF, MANIFEST, PIN, Layout
from atftctl.state.sealed_records import BadRecordError, seal, unseal

GONE = "gone"


@dataclass
class Copy:
    """One file on disk and everything that is said about it: (snapshot, its entry)."""

    key: str  # see inode_key
    size: int
    users: list[tuple[Snapshot, SnapshotFile]] = field(default_factory=list)
    checked: str = ""
    looked: str = ""  # when it was hashed last, whatever was found
    digest: str = ""  # as hashed by `check`; "" before, and where it can't be read

    @property
    def name(self) -> str:
        snapshot, file = self.users[0]
        return f"{snapshot.folder}/{file.path}"


@dataclass
class Findings:
    """Problems by snapshot, and the copies whose bytes can be hashed."""

    problems: dict[str, list[str]] = field(default_factory=dict)
    copies: dict[str, Copy] = field(default_factory=dict)

    def problem(self, snapshot: str, words: str) -> None:
        self.problems.setdefault(snapshot, []).append(words)


def structure(layout: Layout, snapshots: Sequence[Snapshot], reliance: LinkPolicy) -> Findings:
    """Without reading a copy: the manifest byte by byte, each file there, regular and of its size, none beside them."""
    found = Findings()
    for snapshot in snapshots:
        try:
            _manifest(layout, snapshot, found)
        except (OSError, BadRecordError) as error:  # taken away, or damaged, since it was listed
            found.problem(snapshot.id, f"its manifest can't be read: {error}")
        for file in snapshot.files:
            if words := _look(layout, snapshot, file, reliance, found):
                found.problem(snapshot.id, words)
        for words in _strays(layout, snapshot):
            found.problem(snapshot.id, words)
    return found


def _look(layout: Layout, snapshot: Snapshot, file: SnapshotFile, reliance: LinkPolicy, found: Findings) -> str:
    """What is wrong with one copy, unread; what can be hashed is among `found.copies` then."""
    key, wrong = copy_of(str(layout.snapshot(snapshot.id)), file, reliance.checked)
    if key:
        copy = found.copies.setdefault(key, Copy(key, file.size))
        copy.users.append((snapshot, file))
        copy.checked = max(copy.checked, reliance.last_checked(key, file))
        copy.looked = max(copy.looked, copy.checked, reliance.checked.get(key, ("", ""))[1])
    return wrong


def _manifest(layout: Layout, snapshot: Snapshot, found: Findings) -> None:
    data = read_bytes(layout.manifest(snapshot.id))
    if data != seal(unseal(data, MANIFEST)):
        found.problem(snapshot.id, "its manifest was edited")
    if snapshot.code_diff and sha256_file(layout.snapshot(snapshot.id) / CODE_DIFF) != snapshot.code_diff:
        found.problem(snapshot.id, f"{CODE_DIFF} is damaged or gone")


def _strays(layout: Layout, snapshot: Snapshot) -> list[str]:
    top = layout.snapshot(snapshot.id)
    known = {file.path for file in snapshot.files} | {MANIFEST, PIN} | ({CODE_DIFF} if snapshot.code_diff else set())
    there, links = set(), [top] if top.is_symlink() else []
    for folder, folders, names in os.walk(top):
        there |= {os.path.relpath(f"{folder}/{name}", top) for name in names}
        links += [
            path
            for name in folders
            if (path := Path(folder, name)).is_symlink() and os.path.relpath(path, top) not in known
        ]
    strays = [f"{name} is not in its manifest" for name in sorted(there - known)]
    return strays + [
        f"{os.path.relpath(one, layout.backups)} is a symlink: what is behind it is no copy" for one in links
    ]


def sample(copies: Iterable[Copy], share: float) -> list[Copy]:
    """So large a share of the bytes, at least one copy, those first that were not hashed for longest: repeated, it
    comes round to all."""
    ordered = sorted(copies, key=lambda one: (one.looked, one.key))
    wanted, taken = share * sum(one.size for one in ordered), 0
    chosen: list[Copy] = []
    for one in ordered:
        if chosen and taken >= wanted:
            break
        chosen.append(one)
        taken += one.size
    return chosen


def _hash(layout: Layout, copy: Copy, progress: Progress) -> tuple[str, str]:
    """(SHA-256, why there is none). A snapshot that was taken away meanwhile leaves its copies to those that share
    them."""
    why = GONE
    for snapshot, file in copy.users:
        try:
            return hash_file(layout.snapshot(snapshot.id) / file.path, progress=progress), ""
        except FileNotFoundError:
            continue
        except (OSError, HostError) as error:
            why = reason(error)
    return "", why


def check(layout: Layout, copies: Sequence[Copy], found: Findings, progress: Progress = no_progress) -> list[Copy]:
    """Hash these copies; those that are whole. What is damaged is a problem of every snapshot that shares it."""
    whole = []
    for copy in copies:
        digest, why = _hash(layout, copy, progress)
        if why == GONE:
            continue
        copy.digest = digest
        bad = [(one, entry) for one, entry in copy.users if entry.sha256 != digest]
        for one, entry in bad:
            others = len(copy.users) - 1
            shared = f" (shared with {others} other snapshot{'s' * (others > 1)})" if others else ""
            found.problem(one.id, f"{entry.path} is damaged: {why or 'its hash is not the recorded one'}{shared}")
        if not bad:
            whole.append(copy)
    return whole
