"""`backup diff`: what differs between two snapshots, or between one and what stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atftctl.decide.plans.setting_changes import flat
from atftctl.domain.errors import AtftError
from atftctl.domain.result import Result
from atftctl.domain.text import value_text
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
from atftctl.state.layout import CODE_DIFF

NOW = "now"
_MISSING = object()


@dataclass(frozen=True)
class Side:
    """One of the two: a snapshot, or the project as it stands."""

    name: str
    paths: Mapping[str, Path]
    digests: Mapping[str, str | None]
    commit: str
    dirty: bool
    patch: str = ""  # the work tree's changes, where a snapshot keeps them


def _side(project: Project, word: str) -> Side:
    layout = project.layout
    if word == NOW:
        paths = {path: layout.root / path for path in sources(layout, project.runbook.files).paths}
        digests = {path: digest_of(layout.place(path)) for path in paths}
        return Side("what stands now", paths, digests, *git.head(layout.root))
    one = catalog.find(layout, catalog.list_snapshots(layout), word)
    copies = {file.path: layout.root / one.where(file) for file in one.files}
    patch = f"{one.folder}/{CODE_DIFF}" if one.code_diff else ""
    return Side(one.id, copies, one.digests(), one.commit, one.dirty, patch)


def diff(project: Project, old: str, new: str, request: Request) -> Result:
    """Configs by key and line, models by tensor (measured by the trainer's code, in its process), code by commit."""
    watch = Stopwatch(request.report)
    left, right = _side(project, old), _side(project, new)
    names = list(dict.fromkeys([*left.paths, *right.paths]))
    changed = [name for name in names if left.digests.get(name) != right.digests.get(name)]
    files = project.runbook.files
    found: dict[str, Any] = {"old": left.name, "new": right.name, "files": {}, "lines": [], "models": {}}
    found["same"] = len(names) - len(changed)
    with watch.part("compare"):
        for name in changed:
            if name in files.configs:
                before, after = _read(left, name), _read(right, name)
                found["files"][name] = _keys(before, after)
                found["lines"] += text_diff(name, before, after)
                continue
            found["files"][name] = _word(left, right, name)
            if name in files.models:
                found["models"][name] = _tensors(project, left.paths.get(name), right.paths.get(name))
    found["code"] = _code(project.layout.root, left, right)
    differ = "1 file differs" if len(changed) == 1 else f"{len(changed)} files differ" if changed else "no file differs"
    words = f"{left.name} → {right.name}: {differ}, {found['same']} the same"
    return Result("backup diff", Exit.DONE, words, data=found, parts=tuple(watch.parts))


def _read(side: Side, name: str) -> bytes:
    path = side.paths.get(name)
    try:
        return read_bytes(path) if path and path.stat().st_size < 1 << 20 else b""
    except (OSError, HostError):
        return b""


def _word(left: Side, right: Side, name: str) -> list[str]:
    if name not in left.paths:
        return [f"only in {right.name}"]
    return [f"only in {left.name}"] if name not in right.paths else ["content differs"]


def _keys(old: bytes, new: bytes) -> list[str]:
    """Settings that differ, by dotted key."""
    try:
        left, right = (_by_key(yaml_read.read(data).value) for data in (old, new))
    except YamlError as error:
        return [f"can't be compared by key: {error}"]
    words = []
    for key in dict.fromkeys([*left, *right]):
        if not _equal(left.get(key, _MISSING), right.get(key, _MISSING)):
            was, now = (value_text(side[key]) if key in side else "(not set)" for side in (left, right))
            words.append(f"{key}: {was} → {now}")
    return words or ["the settings are the same; the text differs"]


def _by_key(value: Any) -> dict[str, Any]:
    return {key_text(key): one for key, one in flat(value).items()}


def _equal(one: Any, other: Any) -> bool:
    """`true` is not `1`, though Python says so; nor is a key that is not there any value."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _tensors(project: Project, old: Path | None, new: Path | None) -> dict[str, Any]:
    """What the trainer's own code finds; why not, where it can't be asked. Never unpickled here."""
    if old is None or new is None:
        return {"error": "only one side has it"}
    try:
        return probes.tensors(project.layout, project.runbook, old, new)
    except (AtftError, HostError) as error:
        return {"error": str(error)}


def _code(root: Path, left: Side, right: Side) -> dict[str, Any]:
    found: dict[str, Any] = {"old": left.commit, "new": right.commit, "dirty": [left.dirty, right.dirty]}
    if left.commit and right.commit and left.commit != right.commit:
        found["added"] = git.log_lines(root, left.commit, right.commit)
        found["taken_back"] = git.log_lines(root, right.commit, left.commit)
    return found | {"patches": [side.patch for side in (left, right) if side.patch]}
