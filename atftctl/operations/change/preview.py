"""Render the files of a plan in memory: the bytes that it would write, checked, and their diff."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
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
from atftctl.protocol import config_digest, merge_settings, placed
from atftctl.protocol.messages import joined, tr
from atftctl.state.layout import Layout

Content = bytes | Path
LONG = 200_000  # bytes; nobody reads the diff of a longer file


@record
class Rendered:
    """What a plan would write.

    `contents`: by target path. `diff`: of the texts. `digest`: of the configs after the change, "" where one of them
    can't be read. `notes`: what replaced files lose, such as hard links.
    """

    contents: Mapping[str, Content]
    diff: tuple[str, ...]
    digest: str
    notes: tuple[str, ...] = ()


def render(
    project: Project, plan: Plan, *, check_copies: bool = False, given: Mapping[str, bytes] | None = None
) -> Rendered:
    """Render the files of a plan, and write nothing. Raises Refused for a file that can't be edited exactly or can't be
    replaced.

    `check_copies`: hash every snapshot copy that is to be restored, before the trainer is stopped for it; otherwise
    only small ones, since staging hashes all of them before anything is decided. `given`: contents from a commit, by
    path.
    """
    layout = project.layout
    contents: dict[str, Content] = {}
    diff: list[str] = []
    notes: list[str] = []
    mounted = mount_points()
    removed = [target.path for target in plan.targets if target.removes]
    emptied = {str(folder) for path in removed for folder in PurePosixPath(path).parents}
    for target in plan.targets:
        path = replaceable(layout, target.path, mounted, folder=target.path in emptied)
        linked = target.path != project.runbook.checkpoints.last  # the history holds another link to that one
        losses = replacement_losses(path, links=linked)
        notes += [tr("{path}: {loss}", path=target.path, loss=loss) for loss in losses]
        content, lines = _render_target(project, target, path, given or {}, check_copies=check_copies)
        diff += lines
        if content is not None:
            contents[target.path] = content
    return Rendered(contents, tuple(diff), _digest(project, contents), tuple(notes))


def _render_target(
    project: Project, target: Target, path: Path, given: Mapping[str, bytes], *, check_copies: bool
) -> tuple[Content | None, list[str]]:
    """Return the new content of one file, or the path of the snapshot's copy, and the diff. The content is None for a
    symlink and for a file that is removed."""
    if is_link(target.new):
        link = str(target.new).removeprefix(LINK)
        return None, [tr("{path}: a symlink to {target}", path=target.path, target=link)]
    if target.changes:
        before = read_bytes(path, MAX_BYTES + 1) if not target.snapshot or path.is_file() else b""
        source = before
        if target.snapshot:
            source = read_bytes(_checked_copy(project.layout, target, check_copies=True), MAX_BYTES + 1)
        after = _edit(target, source)
        return after, text_diff(target.path, before, after)
    if target.commit:
        content = given[target.path]
        return content, text_diff(target.path, _current(path), content)
    if target.snapshot:
        copy = _checked_copy(project.layout, target, check_copies=check_copies)
        if target.path not in project.runbook.files.configs:
            return copy, []
        return copy, text_diff(target.path, _current(path), _snapshot_bytes(project.layout, target))
    return None, []


def _checked_copy(layout: Layout, target: Target, *, check_copies: bool) -> Path:
    """Return the path of the snapshot's copy. Raises Refused where its content is not what the snapshot recorded."""
    copy = copy_of(layout, target)
    if (check_copies or size_of(copy) <= READ_BACK) and sha256_file(copy) != target.new:
        raise Refused(
            tr(
                "the copy of {path} in snapshot {snapshot} is damaged or missing",
                path=target.path,
                snapshot=target.snapshot,
            ),
            hint=tr("list the other snapshots: atftctl backup list"),
        )
    return copy


def with_new_digest(project: Project, rendered: Rendered) -> Rendered:
    """Return it with the digest of the configs as they are now, under the lock; the rendered contents stay."""
    return replace(rendered, digest=_digest(project, rendered.contents))


def _edit(target: Target, before: bytes) -> bytes:
    """Return the text with its settings edited. Raises Refused."""
    from atftctl.host.yaml_text.edit import edit

    try:
        return edit(before, {change.key: change.new for change in target.changes})
    except YamlError as error:
        where = f"{target.path}:{error.line}" if error.line else target.path
        changes = joined("; ", [change.describe() for change in target.changes])
        raise Refused(
            tr("{place}: {reason}", place=where, reason=error.reason),
            hint=tr("edit the file by hand: {changes}", changes=changes),
        ) from None


def replaceable(layout: Layout, name: str, mounted: Collection[str] = (), *, folder: bool = False) -> Path:
    """Return the path of a file that can be replaced: it is in the project, ours and not protected, and its folder is
    writable. `folder`: a folder may be in its place. Raises Refused with the reason and what to do."""
    try:
        path = layout.place(name)
    except OutsideProjectError as error:
        raise Refused(reason(error)) from None
    obstacle, hint = why_not_replaceable(name, path, mounted)
    if obstacle:
        raise Refused(obstacle, hint=hint)
    try:
        facts = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    if not stat.S_ISREG(facts.st_mode):
        if stat.S_ISLNK(facts.st_mode) or (folder and stat.S_ISDIR(facts.st_mode)):
            return path
        raise Refused(tr("{path} is not a regular file", path=name))
    _refuse_unwritable(name, path, facts)
    return path


def _refuse_unwritable(name: str, path: Path, facts: os.stat_result) -> None:
    """Raises Refused for a file of another user, a read-only file, and a folder that is not writable."""
    if facts.st_uid != os.geteuid() and os.geteuid() != 0:
        raise Refused(
            tr("{path} belongs to another user (uid {uid})", path=name, uid=facts.st_uid),
            hint=tr("run this command as that user, or chown the file"),
        )
    if not facts.st_mode & stat.S_IWUSR:
        raise Refused(tr("{path} is read-only", path=name), hint=tr("chmod u+w {path}", path=name))
    if not os.access(path.parent, os.W_OK):
        raise Refused(tr("the folder of {path} is not writable", path=name))


def copy_of(layout: Layout, target: Target) -> Path:
    """Return the path of the snapshot's copy."""
    return layout.root / target.copy if target.copy else layout.snapshot(target.snapshot) / target.path


def _snapshot_bytes(layout: Layout, target: Target) -> bytes:
    """Return the beginning of the snapshot's copy, for a diff. Raises Refused."""
    try:
        return read_bytes(copy_of(layout, target), LONG)
    except (OSError, HostError) as error:
        raise Refused(
            tr(
                "{path} in snapshot {snapshot} can't be read: {reason}",
                path=target.path,
                snapshot=target.snapshot,
                reason=reason(error),
            )
        ) from None


def _current(path: Path) -> bytes:
    """Return the beginning of a file, for a diff; nothing where there is no file."""
    return b"" if not path.exists() or path.is_dir() or path.is_symlink() else read_bytes(path, LONG)


def text_diff(name: str, before: bytes, after: bytes) -> list[str]:
    """Return the unified diff of two texts, with one line of context."""
    import difflib

    if max(len(before), len(after)) >= LONG:
        return [tr("{path}: the file is too long to show its diff", path=name)]

    def lines(data: bytes) -> list[str]:
        return data.decode("utf-8", "replace").splitlines()

    return list(difflib.unified_diff(lines(before), lines(after), f"a/{name}", f"b/{name}", lineterm="", n=1))


def _digest(project: Project, contents: Mapping[str, Content]) -> str:
    """Return the digest of the configs with these contents; "" where one of them can't be read."""
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
        layers.append(placed(value or {}, project.runbook.files.namespace(name)))
    return config_digest(merge_settings(layers))
