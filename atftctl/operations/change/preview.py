"""From a plan to the bytes that it would write: the edits made in memory, checked, and shown as a diff."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.steps import Target
from atftctl.host.errors import HostError, OutsideProjectError, YamlError, reason
from atftctl.host.files.attributes import replacement_losses
from atftctl.host.files.durable import READ_BACK
from atftctl.host.files.fingerprint import LINK, is_link, sha256_file
from atftctl.host.files.obstacles import mount_points, why_not_replaceable
from atftctl.host.files.reading import read_bytes, size_of
from atftctl.host.yaml_text import read as yaml_read
from atftctl.host.yaml_text.read import MAX_BYTES
from atftctl.operations.project import Project
from atftctl.protocol import config_digest, merge_settings
from atftctl.state.layout import Layout

Content = bytes | Path
LONG = 200_000  # bytes; nobody reads the diff of a longer file


@dataclass(frozen=True)
class Rendered:
    """`contents` by target path; `diff` of the texts; `digest` of the configs as they will stand ("" if unreadable);
    `notes` of what files lose beside their bytes."""

    contents: Mapping[str, Content]
    diff: tuple[str, ...]
    digest: str
    notes: tuple[str, ...] = ()


def render(
    project: Project, plan: Plan, *, check_copies: bool = False, given: Mapping[str, bytes] | None = None
) -> Rendered:
    """Raises Refused for what can't be edited exactly, or can't be replaced by us. Nothing has been written.

    `check_copies`: hash each snapshot's copy that is to come back, before a trainer is stopped for it. Without it only
    the small ones are: staging hashes all of them before anything is decided. `given`: what comes from a commit.
    """
    layout = project.layout
    contents: dict[str, Content] = {}
    diff: list[str] = []
    notes: list[str] = []
    mounted = mount_points()
    cleared = {
        str(folder) for target in plan.targets if target.removes for folder in PurePosixPath(target.path).parents
    }
    for target in plan.targets:
        path = replaceable(layout, target.path, mounted, folder=target.path in cleared)
        notes += [f"{target.path}: {loss}" for loss in replacement_losses(path)]
        if is_link(target.new):
            diff.append(f"{target.path}: a symlink to {str(target.new).removeprefix(LINK)}")
        elif target.changes:
            before = read_bytes(path, MAX_BYTES + 1)
            contents[target.path] = after = _edit(target, before)
            diff += text_diff(target.path, before, after)
        elif target.commit:
            contents[target.path] = content = (given or {})[target.path]
            diff += text_diff(target.path, _bytes(path), content)
        elif target.snapshot:
            contents[target.path] = _whole_copy(layout, target, check_copies=check_copies)
            if target.path in project.runbook.files.configs:
                diff += text_diff(target.path, _bytes(path), _snapshot_bytes(layout, target))
    return Rendered(contents, tuple(diff), _digest(project, contents), tuple(notes))


def _whole_copy(layout: Layout, target: Target, *, check_copies: bool) -> Path:
    """Raises Refused where it is not what the snapshot says."""
    copy = copy_of(layout, target)
    if (check_copies or size_of(copy) <= READ_BACK) and sha256_file(copy) != target.new:
        raise Refused(
            f"the copy of {target.path} in snapshot {target.snapshot} is damaged or gone",
            hint="atftctl backup list shows the others",
        )
    return copy


def again_rendered(project: Project, rendered: Rendered) -> Rendered:
    """For the same targets, with the same digests, under the lock: the edits hold; the other configs are read again."""
    return replace(rendered, digest=_digest(project, rendered.contents))


def _edit(target: Target, before: bytes) -> bytes:
    from atftctl.host.yaml_text.edit import edit

    try:
        return edit(before, {change.key: change.new for change in target.changes})
    except YamlError as error:
        where = f"{target.path}:{error.line}" if error.line else target.path
        raise Refused(
            f"{where}: {error.reason}",
            hint=f"set it by hand: {'; '.join(change.describe() for change in target.changes)}",
        ) from None


def replaceable(layout: Layout, name: str, mounted: Collection[str] = (), *, folder: bool = False) -> Path:
    """Where a file lies that we may replace: in the project, ours, not protected, its folder writable. `folder`: its
    name may be a folder's by now. Raises Refused, which says what stands against it and what to do."""
    try:
        path = layout.place(name)
    except OutsideProjectError as error:
        raise Refused(str(error)) from None
    why, hint = why_not_replaceable(name, path, mounted)
    if why:
        raise Refused(why, hint=hint)
    try:
        facts = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    if not stat.S_ISREG(facts.st_mode):
        if stat.S_ISLNK(facts.st_mode) or (folder and stat.S_ISDIR(facts.st_mode)):
            return path
        raise Refused(f"{name} is not a regular file")
    _refuse_unwritable(name, path, facts)
    return path


def _refuse_unwritable(name: str, path: Path, facts: os.stat_result) -> None:
    """Raises Refused for a file that is another user's, or marked as not to be changed."""
    if facts.st_uid != os.geteuid() and os.geteuid() != 0:
        raise Refused(
            f"{name} belongs to another user (uid {facts.st_uid})",
            hint="run this as that user, or chown the file",
        )
    if not facts.st_mode & stat.S_IWUSR:
        raise Refused(f"{name} is read-only", hint=f"chmod u+w {name}")
    if not os.access(path.parent, os.W_OK):
        raise Refused(f"the folder of {name} can't be written to")


def copy_of(layout: Layout, target: Target) -> Path:
    """Where the snapshot's copy lies."""
    return layout.root / target.copy if target.copy else layout.snapshot(target.snapshot) / target.path


def _snapshot_bytes(layout: Layout, target: Target) -> bytes:
    try:
        return read_bytes(copy_of(layout, target), LONG)
    except (OSError, HostError) as error:
        raise Refused(f"{target.path} in snapshot {target.snapshot} can't be read: {reason(error)}") from None


def _bytes(path: Path) -> bytes:
    """What stands there, for a diff; nothing where no file does."""
    return b"" if not path.exists() or path.is_dir() or path.is_symlink() else read_bytes(path, LONG)


def text_diff(name: str, before: bytes, after: bytes) -> list[str]:
    """Unified, with one line of context."""
    import difflib

    if max(len(before), len(after)) >= LONG:
        return [f"{name}: too long for its diff to be shown"]

    def lines(data: bytes) -> list[str]:
        return data.decode("utf-8", "replace").splitlines()

    return list(difflib.unified_diff(lines(before), lines(after), f"a/{name}", f"b/{name}", lineterm="", n=1))


def _digest(project: Project, contents: Mapping[str, Content]) -> str:
    layers = []
    for name in project.runbook.files.configs:
        content = contents.get(name, project.layout.root / name)
        try:
            data = content if isinstance(content, bytes) else read_bytes(content, MAX_BYTES + 1)
            value = yaml_read.read(data).value
        except (OSError, HostError):
            return ""
        if value is not None and not isinstance(value, dict):
            return ""
        layers.append(value or {})
    return config_digest(merge_settings(layers))
