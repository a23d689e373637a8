"""A snapshot: what its manifest says, and what was observed of it beside that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from atftctl.domain.record import record

VERSION = 2
OBSERVED = ("id", "pinned", "folder")  # of the folder, not of the manifest in it
Source = tuple[int, int, int, int, int]  # device, inode, size, mtime, ctime of the file that was copied


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class SnapshotFile:
    """One copy. `checked` is when its bytes were last hashed before this snapshot relied on them."""

    path: str
    sha256: str
    size: int
    mode: int
    mtime_ns: int = 0
    checked: str = ""
    zip: str = ""  # "whole", or what is damaged; "" where it is no checkpoint
    copy: str = ""  # where its bytes lie, relative to the project, where that is not the snapshot's folder
    kept: Mapping[str, Any] | None = (
        None  # uid, gid, attributes by name (base64); None where an earlier build copied it
    )
    source: Source | None = None  # None where the file had changed so recently that these would prove nothing

    @property
    def is_link(self) -> bool:
        """A symlink; its digest is "link:" and its target."""
        return self.sha256.startswith("link:")

    @property
    def damaged(self) -> bool:
        """It was, already where it stood: a zip whose CRCs do not hold."""
        return self.zip not in ("", "whole")


@record
class Passed:
    """The checklist that exactly these files passed.

    at: when it was passed, ISO 8601. checks: what each check measured, by its name.
    """

    at: str
    checks: Mapping[str, str] = field(default_factory=dict)


Passes = Sequence[tuple[Mapping[str, str], Passed]]  # file digests and the checklist that they passed, oldest first


@record
class Snapshot:
    """`number` grows by one with each snapshot of a project: the order of snapshots, whatever the clock did."""

    id: str
    created: str
    label: str
    reason: str
    files: tuple[SnapshotFile, ...]
    number: int = 0
    commit: str = ""
    dirty: bool = False
    code_diff: str = ""  # SHA-256 of the diff of a dirty work tree, which lies beside the manifest
    operation: str = ""
    operator: str = ""
    runbook_sha256: str = ""
    config_digest: str = ""
    baseline: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)  # path → why
    passed: Passed | None = None
    pinned: bool = False
    folder: str = ""  # where its files lie, relative to the project

    @property
    def verified(self) -> bool:
        return self.passed is not None

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def where(self, file: SnapshotFile) -> str:
        """Of the copy, relative to the project."""
        return file.copy or f"{self.folder}/{file.path}"

    def digests(self) -> dict[str, str]:
        return {file.path: file.sha256 for file in self.files}

    @cached_property
    def by_path(self) -> dict[str, SnapshotFile]:
        return {file.path: file for file in self.files}

    def file(self, path: str) -> SnapshotFile | None:
        return self.by_path.get(path)


def passed_by(digests: Mapping[str, str], passes: Passes) -> Passed | None:
    """The newest checklist that was passed by exactly these files."""
    return next((passed for checked, passed in reversed(passes) if checked.items() <= digests.items()), None)


def to_manifest(snapshot: Snapshot) -> dict[str, Any]:
    """What is written beside the copies. What is observed later (the pin, the folder) is not in it."""
    body = {key: getattr(snapshot, key) for key in snapshot.__dataclass_fields__ if key not in OBSERVED}
    passed = vars(snapshot.passed) if snapshot.passed else None
    return {"version": VERSION, **body, "passed": passed, "files": [_fields(file) for file in snapshot.files]}


def _fields(file: SnapshotFile) -> dict[str, Any]:
    return {
        name: value for name in SnapshotFile.__slots__ if (value := getattr(file, name)) is not None or name != "kept"
    }


def from_manifest(name: str, body: Mapping[str, Any], **observed: Any) -> Snapshot:
    """Raises ValueError, KeyError or TypeError for what is no manifest of ours."""
    if type(body["version"]) is not int or body["version"] != VERSION:
        raise ValueError(f"its manifest is of version {body['version']!r}; this atftctl knows version {VERSION}")
    known = {key: body[key] for key in Snapshot.__dataclass_fields__ if key in body}
    _check_kinds(known, body)
    files = tuple(_file(entry) for entry in body["files"])
    passed = Passed(**body["passed"]) if body.get("passed") else None
    if passed and not (isinstance(passed.at, str) and isinstance(passed.checks, dict)):
        raise TypeError("in its manifest passed is no checklist")
    datetime.fromisoformat(known["created"])
    return Snapshot(**{**known, "id": name, "files": files, "passed": passed, **observed})


def _check_kinds(known: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Raises TypeError for a part that is of another kind than a manifest's."""
    for key, kind in (*((key, str) for key in TEXTS), ("number", int), ("dirty", bool)):
        if type(known.get(key, kind())) is not kind:
            raise TypeError(f"in its manifest {key} is no {kind.__name__}")
    for key in ("baseline", "left_out"):
        if not isinstance(known.get(key, {}), dict):
            raise TypeError(f"in its manifest {key} is no mapping")
    if known.get("baseline") and not _are_figures(known["baseline"]):
        raise TypeError("in its manifest baseline holds no figures")
    if not isinstance(body["files"], list):
        raise TypeError("in its manifest files is no list")


TEXTS = (
    "created", "label", "reason", "commit", "code_diff", "operation", "operator", "runbook_sha256", "config_digest",
)  # fmt: skip


def _file(entry: Any) -> SnapshotFile:
    """One entry of a manifest. Permissions are those of a file of data: no setuid, setgid, sticky. Raises TypeError,
    ValueError."""
    if not isinstance(entry, dict):
        raise TypeError("in its manifest an entry of files is no mapping")
    source = entry.get("source")
    file = SnapshotFile(**{**entry, "source": tuple(source) if isinstance(source, list) else None})
    texts = (file.path, file.sha256, file.checked, file.zip, file.copy)
    if not all(type(text) is str for text in texts) or not all(
        type(number) is int for number in (file.size, file.mode, file.mtime_ns, *(file.source or ()))
    ):
        raise TypeError(f"in its manifest the entry of {file.path!r} has a value of another kind")
    if not (file.kept is None or _is_kept(file.kept)):
        raise TypeError(f"in its manifest the entry of {file.path!r} has an owner or attributes of another kind")
    if (
        file.copy
        or (file.source is not None and len(file.source) != 5)
        or (file.checked and not _has_zone(file.checked))
    ):
        raise ValueError(f"in its manifest the entry of {file.path!r} says what no entry says")
    return file if file.mode <= 0o777 else replace(file, mode=file.mode & 0o777)


def _are_figures(baseline: Mapping[str, Any]) -> bool:
    """What is kept of the recorded baseline, in short."""
    numbers = all(type(baseline.get(name)) in (int, float) for name in ("rankic", "dates", "memory_mb", "step_s"))
    return numbers and all(isinstance(baseline.get(name), str) for name in ("recorded", "config_digest"))


def _is_kept(kept: Any) -> bool:
    """Owner, group and attributes, as `host.files.attributes` has them."""
    return (
        isinstance(kept, dict)
        and all(type(kept.get(name)) is int and kept[name] >= 0 for name in ("uid", "gid"))
        and isinstance(kept.get("attributes"), dict)
        and all(isinstance(one, str) for pair in kept["attributes"].items() for one in pair)
    )


def _has_zone(text: str) -> bool:
    """A time that can be compared with others."""
    return datetime.fromisoformat(text).tzinfo is not None


Checked = Mapping[str, tuple[str, str]]  # by a copy's key on disk: (SHA-256 that was found, when)


def found_damaged(checked: Checked, key: str, file: SnapshotFile) -> bool:
    """When these bytes on disk were hashed last, they were not what this entry says."""
    return checked.get(key, (file.sha256, ""))[0] != file.sha256


@record
class LinkPolicy:
    """Which copies a new snapshot may link to, and when a copy must be hashed again before it does."""

    snapshots: tuple[Snapshot, ...] = ()
    checked: Checked = field(default_factory=dict)
    recheck_s: float = 0.0

    def last_checked(self, key: str, file: SnapshotFile) -> str:
        """When the very bytes on disk that this entry stands for were hashed last; "" where they were found damaged."""
        if found_damaged(self.checked, key, file):
            return ""
        digest, at = self.checked.get(key, ("", ""))
        return max(file.checked, at) if digest == file.sha256 else file.checked

    def due(self, checked: str, now: datetime) -> bool:
        """Not hashed for longer than the span, or never; or by a clock that stood ahead."""
        if not checked:
            return True
        return not 0 <= (now - datetime.fromisoformat(checked)).total_seconds() <= self.recheck_s

    def latest_copy(self, path: str) -> tuple[Snapshot, SnapshotFile] | None:
        """The newest snapshot that holds this path."""
        for snapshot in reversed(self.snapshots):
            if file := snapshot.file(path):
                return snapshot, file
        return None
