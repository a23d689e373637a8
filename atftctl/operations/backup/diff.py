"""`backup diff`: compare two snapshots, or a snapshot with the current files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atftctl.decide.plans.setting_changes import flat
from atftctl.domain.errors import AtftError
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.text import value_text
from atftctl.domain.units import holds
from atftctl.host.errors import HostError, YamlError
from atftctl.host.files.fingerprint import digest_of
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import facts as git
from atftctl.host.yaml_text import read as yaml_read
from atftctl.observe.snapshots import catalog
from atftctl.observe.snapshots.sources import sources
from atftctl.observe.trainer_run import probes
from atftctl.operations.change.preview import text_diff
from atftctl.operations.project import Project
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import tr, trn
from atftctl.state.layout import CODE_DIFF

NOW = "now"
_MISSING = object()


@record
class ModelDiff(Data):
    """How two versions of a model differ.

    error: why they were not compared, or empty. same: how many tensors are the same. changed: changed tensors: `name`,
    `shape`, `norm` (Euclidean norm of the change) and `relative` (relative to the norm of the old tensor, or null).
    added: tensors only in the new version: `name`, `shape`. removed: tensors only in the old version: `name`, `shape`.
    reshaped: tensors of another shape: `name`, `shape`, `old_shape`.
    """

    error: str = ""
    same: int = 0
    changed: tuple[Mapping[str, Any], ...] = ()
    added: tuple[Mapping[str, Any], ...] = ()
    removed: tuple[Mapping[str, Any], ...] = ()
    reshaped: tuple[Mapping[str, Any], ...] = ()


@record
class CodeDiff(Data):
    """How the code of both sides differs.

    old: the old commit, or empty. new: the new commit, or empty. dirty: whether the old and the new side have
    uncommitted changes. added: commits that only the new side has; null where the commits are the same or unknown.
    taken_back: commits that only the old side has; null as for `added`. patches: files with the uncommitted changes.
    """

    old: str
    new: str
    dirty: tuple[bool, bool]
    added: tuple[str, ...] | None = None
    taken_back: tuple[str, ...] | None = None
    patches: tuple[str, ...] = ()


@record
class BackupDiffData(Data):
    """Data of `backup diff`.

    old: the old side: a snapshot id, or `the current files`. new: the new side, in the same form. files: for each file
    that differs, by path, what differs. lines: unified diff of the configs. models: for each model that differs, by
    path, the tensors that differ. same: how many files are the same. code: how the code differs.
    """

    old: str
    new: str
    code: CodeDiff
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    models: Mapping[str, ModelDiff] = field(default_factory=dict)
    same: int = 0


@dataclass(frozen=True)
class Side:
    """One side of the comparison: a snapshot, or the project's current files.

    `paths`: where each file can be read. `patch`: the file with uncommitted changes, where a snapshot has one.
    """

    name: str
    paths: Mapping[str, Path]
    digests: Mapping[str, str | None]
    commit: str
    dirty: bool
    patch: str = ""


def _side(project: Project, word: str) -> Side:
    """Return the side that `word` names. Raises Refused or UsageError where it names no snapshot."""
    layout = project.layout
    if word == NOW:
        named = sources(layout, project.runbook.files, history=project.runbook.checkpoints.history)
        paths = {path: layout.root / path for path in named.paths}
        digests = {path: digest_of(layout.place(path)) for path in paths}
        return Side(tr("the current files"), paths, digests, *git.head(layout.root))
    snapshot = catalog.find(layout, catalog.list_snapshots(layout), word)
    copies = {file.path: layout.root / snapshot.where(file) for file in snapshot.files}
    patch = f"{snapshot.folder}/{CODE_DIFF}" if snapshot.code_diff else ""
    return Side(snapshot.id, copies, snapshot.digests(), snapshot.commit, snapshot.dirty, patch)


def diff(project: Project, old: str, new: str, request: Request) -> Result:
    """Compare configs by key and line, models by tensor, and code by commit.

    The trainer's code compares the models, in a process of its own. Raises Refused or UsageError where `old` or `new`
    names no snapshot.
    """
    watch = Stopwatch(request.report)
    left, right = _side(project, old), _side(project, new)
    with watch.part("compare"):
        data = _compared(project, left, right)
    count = len(data.files)
    headline = tr(
        "{old} → {new}: {differing}, {same} the same",
        old=left.name,
        new=right.name,
        differing=trn("{count} file differs", "{count} files differ", count) if count else tr("no file differs"),
        same=data.same,
    )
    return Result("backup diff", Exit.DONE, headline, data=data, parts=tuple(watch.parts))


def _compared(project: Project, left: Side, right: Side) -> BackupDiffData:
    configs, models = project.runbook.files.configs, project.runbook.files.models
    paths = list(dict.fromkeys([*left.paths, *right.paths]))
    changed = [path for path in paths if left.digests.get(path) != right.digests.get(path)]
    files: dict[str, tuple[str, ...]] = {}
    lines: list[str] = []
    tensors = {}
    for path in changed:
        if path in configs:
            before, after = _read(left, path), _read(right, path)
            files[path] = _keys(before, after)
            lines += text_diff(path, before, after)
            continue
        files[path] = (_how(left, right, path),)
        if holds(models, path):
            tensors[path] = _tensors(project, left.paths.get(path), right.paths.get(path))
    return BackupDiffData(
        old=left.name,
        new=right.name,
        code=_code(project.layout.root, left, right),
        files=files,
        lines=tuple(lines),
        models=tensors,
        same=len(paths) - len(changed),
    )


def _read(side: Side, name: str) -> bytes:
    """Return the content of a config; empty where it can't be read or is too large for one."""
    path = side.paths.get(name)
    try:
        return read_bytes(path) if path and path.stat().st_size < 1 << 20 else b""
    except (OSError, HostError):
        return b""


def _how(left: Side, right: Side, path: str) -> str:
    """Say how a file that is no config differs."""
    if path not in left.paths:
        return tr("only in {side}", side=right.name)
    return tr("only in {side}", side=left.name) if path not in right.paths else tr("the content differs")


def _keys(old: bytes, new: bytes) -> tuple[str, ...]:
    """Return the settings that differ, by dotted key."""
    try:
        left, right = (_by_key(yaml_read.read(data).value) for data in (old, new))
    except YamlError as error:
        return (tr("can't be compared by key: {error}", error=error),)
    settings = []
    for key in dict.fromkeys([*left, *right]):
        if not _equal(left.get(key, _MISSING), right.get(key, _MISSING)):
            before, after = (value_text(side[key]) if key in side else tr("(not set)") for side in (left, right))
            settings.append(tr("{key}: {old} → {new}", key=key, old=before, new=after))
    return tuple(settings) or (tr("the settings are the same, but the text differs"),)


def _by_key(value: Any) -> dict[str, Any]:
    return {key_text(key): setting for key, setting in flat(value).items()}


def _equal(left: Any, right: Any) -> bool:
    """Compare as YAML does: `true` is not `1`, and a missing key equals no value."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _tensors(project: Project, old: Path | None, new: Path | None) -> ModelDiff:
    """Let the trainer's code compare two checkpoints: they are never unpickled in this process."""
    if old is None or new is None:
        return ModelDiff(error=tr("only one side has this file"))
    try:
        measured = probes.tensors(project.layout, project.runbook, old, new)
    except AtftError as error:
        return ModelDiff(error=error.message)
    except HostError as error:
        return ModelDiff(error=str(error))
    if measured.get("error"):
        return ModelDiff(error=str(measured["error"]))
    return ModelDiff(
        same=measured.get("same", 0),
        changed=tuple(measured.get("changed", ())),
        added=tuple(measured.get("added", ())),
        removed=tuple(measured.get("removed", ())),
        reshaped=tuple(measured.get("reshaped", ())),
    )


def _code(root: Path, left: Side, right: Side) -> CodeDiff:
    added = taken_back = None
    if left.commit and right.commit and left.commit != right.commit:
        added = _commits(root, left.commit, right.commit)
        taken_back = _commits(root, right.commit, left.commit)
    patches = tuple(side.patch for side in (left, right) if side.patch)
    return CodeDiff(left.commit, right.commit, (left.dirty, right.dirty), added, taken_back, patches)


def _commits(root: Path, old: str, new: str) -> tuple[str, ...] | None:
    """Return the commits that are in `new` and not in `old`; None where git does not know one of them."""
    lines = git.log_lines(root, old, new)
    return None if lines is None else tuple(lines)
