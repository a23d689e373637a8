"""A snapshot: the contents of its manifest, and what was observed of its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from atftctl.domain.record import record
from atftctl.protocol.messages import tr

VERSION = 2
OBSERVED = ("id", "pinned", "folder")  # fields that are read from the folder and are not in its manifest
TEXTS = (
    "created",
    "label",
    "reason",
    "commit",
    "code_diff",
    "operation",
    "operator",
    "runbook_sha256",
    "config_digest",
)
Source = tuple[int, int, int, int, int]  # device, inode, size, mtime, ctime of the file that was copied
Checked = Mapping[str, tuple[str, str]]  # by a copy's key on disk: its SHA-256 when it was last hashed, and when


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class SnapshotFile:
    """One copy in a snapshot. `checked`: when its bytes were last hashed before this snapshot was made, as ISO 8601."""

    path: str
    sha256: str
    size: int
    mode: int
    mtime_ns: int = 0
    checked: str = ""
    zip: str = ""  # "whole", or what is damaged; "" where it is not a checkpoint
    copy: str = ""  # path of its bytes, relative to the project, where they are not in the snapshot's folder
    kept: Mapping[str, Any] | None = None  # uid, gid, attributes by name (base64); None for copies of earlier builds
    source: Source | None = None  # None where the file had changed so recently that these times prove nothing

    @property
    def is_link(self) -> bool:
        """True for a symlink. Its digest is "link:" and its target."""
        return self.sha256.startswith("link:")

    @property
    def damaged(self) -> bool:
        """True where the file was already damaged when it was copied: a zip with wrong CRCs."""
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
    """One snapshot. `number` grows by one with each snapshot of a project, so that their order does not depend on the
    clock."""

    id: str
    created: str
    label: str
    reason: str
    files: tuple[SnapshotFile, ...]
    number: int = 0
    commit: str = ""
    dirty: bool = False
    code_diff: str = ""  # SHA-256 of the file code.diff beside the manifest: the changes of a dirty work tree
    operation: str = ""
    operator: str = ""
    runbook_sha256: str = ""
    config_digest: str = ""
    baseline: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)  # files that are not in it: path → reason
    whole: tuple[str, ...] = ()  # folders and patterns of the runbook's models of which it holds everything
    passed: Passed | None = None
    pinned: bool = False
    folder: str = ""  # path of its folder, relative to the project

    @property
    def verified(self) -> bool:
        return self.passed is not None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def where(self, file: SnapshotFile) -> str:
        """The path of a file's copy, relative to the project."""
        return file.copy or f"{self.folder}/{file.path}"

    def digests(self) -> dict[str, str]:
        return {file.path: file.sha256 for file in self.files}

    @cached_property
    def by_path(self) -> dict[str, SnapshotFile]:
        return {file.path: file for file in self.files}

    def file(self, path: str) -> SnapshotFile | None:
        return self.by_path.get(path)


def passed_by(digests: Mapping[str, str], passes: Passes) -> Passed | None:
    """The newest checklist that exactly these files passed; None where there is none."""
    return next((passed for checked, passed in reversed(passes) if checked.items() <= digests.items()), None)


def to_manifest(snapshot: Snapshot) -> dict[str, Any]:
    """The manifest of a snapshot, as JSON. The pin and the folder are not in it."""
    body = {key: getattr(snapshot, key) for key in snapshot.__dataclass_fields__ if key not in OBSERVED}
    passed = vars(snapshot.passed) if snapshot.passed else None
    return {"version": VERSION, **body, "passed": passed, "files": [_fields(file) for file in snapshot.files]}


def _fields(file: SnapshotFile) -> dict[str, Any]:
    return {
        name: value for name in SnapshotFile.__slots__ if (value := getattr(file, name)) is not None or name != "kept"
    }


def from_manifest(name: str, body: Mapping[str, Any], **observed: Any) -> Snapshot:
    """The snapshot that a manifest describes. `observed`: the fields of OBSERVED. Raises ValueError, KeyError or
    TypeError where the manifest is not valid."""
    if type(body["version"]) is not int or body["version"] != VERSION:
        raise ValueError(
            tr(
                "the manifest has version {version}; this atftctl reads version {known}",
                version=repr(body["version"]),
                known=VERSION,
            )
        )
    known = {key: body[key] for key in Snapshot.__dataclass_fields__ if key in body}
    _check_kinds(known, body)
    files = tuple(_file(entry) for entry in body["files"])
    passed = Passed(**body["passed"]) if body.get("passed") else None
    if passed and not (isinstance(passed.at, str) and isinstance(passed.checks, dict)):
        raise TypeError(_invalid("passed", tr("a checklist")))
    datetime.fromisoformat(known["created"])
    known["baseline"] = _renamed(known.get("baseline", {}))
    known["whole"] = tuple(known.get("whole", ()))
    return Snapshot(**{**known, "id": name, "files": files, "passed": passed, **observed})


def _check_kinds(known: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Raises TypeError where a value of a manifest has the wrong type."""
    for key, kind in (*((key, str) for key in TEXTS), ("number", int), ("dirty", bool)):
        if type(known.get(key, kind())) is not kind:
            raise TypeError(_invalid(key, kind.__name__))
    for key in ("baseline", "left_out"):
        if not isinstance(known.get(key, {}), dict):
            raise TypeError(_invalid(key, tr("a mapping")))
    if known.get("baseline") and not _are_figures(known["baseline"]):
        raise TypeError(_invalid("baseline", tr("a summary of a recorded baseline")))
    whole = known.get("whole", [])
    if not isinstance(whole, list) or not all(isinstance(name, str) for name in whole):
        raise TypeError(_invalid("whole", tr("a list")))
    if not isinstance(body["files"], list):
        raise TypeError(_invalid("files", tr("a list")))


def _invalid(key: str, kind: str) -> str:
    return tr("the manifest is not valid: {key} is not {kind}", key=key, kind=kind)


def _file(entry: Any) -> SnapshotFile:
    """One entry of a manifest. Only the permission bits of its mode are used: no setuid, setgid, sticky. Raises
    TypeError, ValueError."""
    if not isinstance(entry, dict):
        raise TypeError(_invalid("files", tr("a list of mappings")))
    source = entry.get("source")
    file = SnapshotFile(**{**entry, "source": tuple(source) if isinstance(source, list) else None})
    texts = (file.path, file.sha256, file.checked, file.zip, file.copy)
    if not all(type(text) is str for text in texts) or not all(
        type(number) is int for number in (file.size, file.mode, file.mtime_ns, *(file.source or ()))
    ):
        raise TypeError(tr("the manifest is not valid: the entry of {path!r} has a wrong type", path=file.path))
    if not (file.kept is None or _is_kept(file.kept)):
        raise TypeError(tr("the manifest is not valid: owner or attributes of {path!r} are wrong", path=file.path))
    if (
        file.copy
        or (file.source is not None and len(file.source) != 5)
        or (file.checked and not _has_zone(file.checked))
    ):
        raise ValueError(tr("the manifest is not valid: the entry of {path!r} has a wrong value", path=file.path))
    return file if file.mode <= 0o777 else replace(file, mode=file.mode & 0o777)


def _are_figures(baseline: Mapping[str, Any]) -> bool:
    """Is this a summary of a recorded baseline, as `state.baseline.summary_of` makes it, or made it before?"""
    texts = ("recorded", "config_digest")
    return all(isinstance(baseline.get(name), str) for name in texts) and all(
        isinstance(value, str) or type(value) in (int, float) for value in baseline.values()
    )


def _renamed(baseline: Mapping[str, Any]) -> dict[str, Any]:
    """The summary as it is made today: before, the quality had the name of one metric, and was always by date."""
    if "quality" in baseline or "dates" not in baseline:
        return dict(baseline)
    names = {"dates": "pairs", "memory_mb": "memory_mb", "step_s": "step_s"}
    numbers = {names.get(name, "quality"): value for name, value in baseline.items() if not isinstance(value, str)}
    return {**{name: value for name, value in baseline.items() if isinstance(value, str)}, **numbers, "pair_by": "date"}


def _is_kept(kept: Any) -> bool:
    """Are these owner, group and attributes, as `host.files.attributes` reads them?"""
    return (
        isinstance(kept, dict)
        and all(type(kept.get(name)) is int and kept[name] >= 0 for name in ("uid", "gid"))
        and isinstance(kept.get("attributes"), dict)
        and all(isinstance(text, str) for pair in kept["attributes"].items() for text in pair)
    )


def _has_zone(text: str) -> bool:
    """Has this ISO 8601 time a time zone, so that it can be compared with others?"""
    return datetime.fromisoformat(text).tzinfo is not None


def found_damaged(checked: Checked, key: str, file: SnapshotFile) -> bool:
    """Did the bytes of this copy differ from its entry when they were last hashed? `key`: the copy's key on disk."""
    return checked.get(key, (file.sha256, ""))[0] != file.sha256


@record
class LinkPolicy:
    """Which copies a new snapshot may link to. A copy that was last hashed more than `recheck_s` seconds ago must be
    hashed again first."""

    snapshots: tuple[Snapshot, ...] = ()
    checked: Checked = field(default_factory=dict)
    recheck_s: float = 0.0

    def last_checked(self, key: str, file: SnapshotFile) -> str:
        """When the bytes of this copy were last hashed, as ISO 8601; "" where they were found damaged."""
        if found_damaged(self.checked, key, file):
            return ""
        digest, at = self.checked.get(key, ("", ""))
        return max(file.checked, at) if digest == file.sha256 else file.checked

    def due(self, checked: str, now: datetime) -> bool:
        """Must a copy that was last hashed at `checked` be hashed again? Yes too where it never was (""), or where that
        time is in the future."""
        if not checked:
            return True
        return not 0 <= (now - datetime.fromisoformat(checked)).total_seconds() <= self.recheck_s

    def latest_copy(self, path: str) -> tuple[Snapshot, SnapshotFile] | None:
        """The newest snapshot that holds this path, and its entry; None where none does."""
        for snapshot in reversed(self.snapshots):
            if file := snapshot.file(path):
                return snapshot, file
        return None
