"""Check the copies in snapshots for damage. The bytes on disk are hashed once, however many snapshots share them."""

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
from atftctl.protocol.messages import tr, trn
from atftctl.state.layout import CODE_DIFF, MANIFEST, PIN, Layout
from atftctl.state.sealed_records import BadRecordError, seal, unseal

GONE = "gone"


@dataclass
class Copy:
    """One file on disk, and the snapshots that share it (`users`), each with its entry. Times are ISO 8601."""

    key: str  # see inode_key
    size: int  # bytes
    users: list[tuple[Snapshot, SnapshotFile]] = field(default_factory=list)
    checked: str = ""  # when it was last hashed and found undamaged
    looked: str = ""  # when it was last hashed, whatever the result
    digest: str = ""  # the SHA-256 that `check` computed; "" before that, and where it can't be read

    @property
    def name(self) -> str:
        """Its path in one of the snapshots, relative to the project."""
        snapshot, file = self.users[0]
        return f"{snapshot.folder}/{file.path}"


@dataclass
class Findings:
    """Problems by snapshot, and the copies whose bytes can be hashed, by their key."""

    problems: dict[str, list[str]] = field(default_factory=dict)
    copies: dict[str, Copy] = field(default_factory=dict)

    def problem(self, snapshot: str, message: str) -> None:
        """Add a problem of a snapshot."""
        self.problems.setdefault(snapshot, []).append(message)


def structure(layout: Layout, snapshots: Sequence[Snapshot], reliance: LinkPolicy) -> Findings:
    """Check snapshots without reading a copy: the bytes of each manifest; that each file exists, is regular and has its
    size; and that there are no other files. The copies to hash are in the result."""
    findings = Findings()
    for snapshot in snapshots:
        try:
            _manifest(layout, snapshot, findings)
        except (OSError, BadRecordError) as error:  # removed or damaged since it was listed
            message = tr("its manifest can't be read: {reason}", reason=reason(error))
            findings.problem(snapshot.id, message)
        for file in snapshot.files:
            if problem := _look(layout, snapshot, file, reliance, findings):
                findings.problem(snapshot.id, problem)
        for problem in _strays(layout, snapshot):
            findings.problem(snapshot.id, problem)
    return findings


def sample(copies: Iterable[Copy], share: float) -> list[Copy]:
    """Copies with this share (0 to 1) of all bytes, at least one copy: those first that were not hashed for longest, so
    that repeated samples reach all copies."""
    ordered = sorted(copies, key=lambda copy: (copy.looked, copy.key))
    wanted, size = share * sum(copy.size for copy in ordered), 0
    chosen: list[Copy] = []
    for copy in ordered:
        if chosen and size >= wanted:
            break
        chosen.append(copy)
        size += copy.size
    return chosen


def check(layout: Layout, copies: Sequence[Copy], findings: Findings, progress: Progress = no_progress) -> list[Copy]:
    """Hash these copies; return the undamaged ones. A damaged copy is a problem of every snapshot that shares it."""
    undamaged = []
    for copy in copies:
        digest, why = _hash(layout, copy, progress)
        if why == GONE:
            continue
        copy.digest = digest
        damaged = [(snapshot, file) for snapshot, file in copy.users if file.sha256 != digest]
        for snapshot, file in damaged:
            findings.problem(snapshot.id, _damage(file, why, len(copy.users) - 1))
        if not damaged:
            undamaged.append(copy)
    return undamaged


def _damage(file: SnapshotFile, why: str, others: int) -> str:
    """The message for a damaged copy. `why`: it can't be read; `others`: how many other snapshots share it."""
    values = {"path": file.path, "reason": why or tr("its hash is not the recorded one")}
    if not others:
        return tr("{path} is damaged: {reason}", **values)
    return trn(
        "{path} is damaged: {reason} (shared with {count} other snapshot)",
        "{path} is damaged: {reason} (shared with {count} other snapshots)",
        others,
        **values,
    )


def _look(layout: Layout, snapshot: Snapshot, file: SnapshotFile, reliance: LinkPolicy, findings: Findings) -> str:
    """What is wrong with one copy, without reading it, or "". A copy that can be hashed is added to the findings."""
    key, wrong = copy_of(str(layout.snapshot(snapshot.id)), file, reliance.checked)
    if key:
        copy = findings.copies.setdefault(key, Copy(key, file.size))
        copy.users.append((snapshot, file))
        copy.checked = max(copy.checked, reliance.last_checked(key, file))
        copy.looked = max(copy.looked, copy.checked, reliance.checked.get(key, ("", ""))[1])
    return wrong


def _manifest(layout: Layout, snapshot: Snapshot, findings: Findings) -> None:
    data = read_bytes(layout.manifest(snapshot.id))
    if data != seal(unseal(data, MANIFEST)):
        findings.problem(snapshot.id, tr("its manifest was edited"))
    if snapshot.code_diff and sha256_file(layout.snapshot(snapshot.id) / CODE_DIFF) != snapshot.code_diff:
        findings.problem(snapshot.id, tr("{name} is damaged or missing", name=CODE_DIFF))


def _strays(layout: Layout, snapshot: Snapshot) -> list[str]:
    """Messages for files in a snapshot's folder that its manifest does not name, and for symlinks in place of
    folders."""
    top = layout.snapshot(snapshot.id)
    known = {file.path for file in snapshot.files} | {MANIFEST, PIN} | ({CODE_DIFF} if snapshot.code_diff else set())
    existing, links = set(), [top] if top.is_symlink() else []
    for folder, folders, names in os.walk(top):
        existing |= {os.path.relpath(f"{folder}/{name}", top) for name in names}
        links += [
            path
            for name in folders
            if (path := Path(folder, name)).is_symlink() and os.path.relpath(path, top) not in known
        ]
    strays: list[str] = [tr("{name} is not in its manifest", name=name) for name in sorted(existing - known)]
    paths = [os.path.relpath(link, layout.backups) for link in links]
    return strays + [tr("{path} is a symlink; a copy must not be behind a symlink", path=path) for path in paths]


def _hash(layout: Layout, copy: Copy, progress: Progress) -> tuple[str, str]:
    """(SHA-256, ""), or ("", why it can't be read). Where a snapshot was removed meanwhile, its copy is read in another
    snapshot that shares it; `GONE` where there is none."""
    why = GONE
    for snapshot, file in copy.users:
        try:
            return hash_file(layout.snapshot(snapshot.id) / file.path, progress=progress), ""
        except FileNotFoundError:
            continue
        except (OSError, HostError) as error:
            why = reason(error)
    return "", why
