"""Make a scratch copy of the project, and edit its settings. The project itself is only read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atftctl import protocol
from atftctl.domain.errors import Refused
from atftctl.domain.text import size_text
from atftctl.domain.units import holds
from atftctl.host.files.reading import size_of
from atftctl.host.files.walk import Bounds, Walked, walk
from atftctl.host.git import facts as git
from atftctl.host.yaml_text.edit import edit
from atftctl.host.yaml_text.scalar import Scalar
from atftctl.observe.snapshots.secret_names import is_secret
from atftctl.operations.project import Project
from atftctl.protocol.keys import KeyPath
from atftctl.protocol.messages import Message, tr

OURS = {".git", ".venv", ".atftctl", "backups", "run", "__pycache__"}
OUTPUT = {"logs", "models", "cache"}  # usual names of folders that runs write to; they may hold code, too
SOURCES = (".py", ".pyi", ".pyx", ".sh", ".yaml", ".yml", ".toml", ".cfg", ".ini")
LARGE = 64 << 20  # bytes; a file of this size is not copied
MOST = 256 << 20  # bytes of files that git ignores
BOUNDS = Bounds(levels=12, skip=OURS | {"node_modules"})


@dataclass(frozen=True)
class ScratchCopy:
    """root: the folder with the copy. left_out: what a trainer may need and the copy does not have."""

    root: Path
    left_out: tuple[Message, ...] = ()


def copy_project(project: Project, home: Path, links: Sequence[str] = ()) -> ScratchCopy:
    """Copy the files that git does not ignore, small ones that it ignores, and every folder, if only as an empty one.

    `home`: the folder that the copy is made in. `links`: paths of the project that the copy has as symlinks, since the
    trainer only reads them. What runs write is left out. Raises Refused for a link that is missing.
    """
    root, copy = project.layout.root, home / "project"
    walked = walk(root, BOUNDS)
    known = git.tracked_files(root)
    ignored = sorted(set(walked.files) - set(known))
    for folder in ("", *walked.folders):
        (copy / folder).mkdir(parents=True, exist_ok=True)
    left_out = [*_left_out(root, known, walked, links), *_copy_ignored(project, copy, ignored, links)]
    for name in known:
        if size_of(root / name) < LARGE:
            _copy(root, copy, name)
    for name in links:
        _link(root, copy, name.rstrip("/"))
    return ScratchCopy(copy, tuple(left_out))


def _left_out(root: Path, known: Sequence[str], walked: Walked, links: Sequence[str]) -> Iterator[Message]:
    """What is in the project and no file of the copy: large files, symlinks, and folders that are too full."""
    for name in known:
        if (size := size_of(root / name)) >= LARGE and name not in walked.links and not holds(links, name):
            yield tr("{path} ({size})", path=name, size=size_text(size))
    for name in walked.links:
        if not holds(links, name):
            yield tr("{path} (a symbolic link)", path=name)
    for name in sorted(set(walked.uncounted)):
        if not holds(links, name) and OUTPUT.isdisjoint(Path(name).parts):
            yield tr("{path}/ (too many files to look through)", path=name or ".")


def _copy_ignored(project: Project, copy: Path, ignored: Sequence[str], links: Sequence[str]) -> Iterator[Message]:
    """Copy the small files that git ignores, such as data that was prepared; not what runs write. Say which are too
    large."""
    root, left = project.layout.root, MOST
    for name in ignored:
        if _is_output(project, name) or holds(links, name) or not _belongs(name):
            continue
        if is_secret(name):
            yield tr("{path} (its name looks like a secret)", path=name)
            continue
        size = size_of(root / name)
        if size >= min(LARGE, left):
            yield tr("{path} ({size})", path=name, size=size_text(size))
            continue
        left -= size
        _copy(root, copy, name)


def _is_output(project: Project, name: str) -> bool:
    """Does a run write this file: a checkpoint, metrics, a log?"""
    book, layout = project.runbook, project.layout
    places = (*book.files.models, *layout.metrics.files, book.trainer.output, book.checkpoints.history)
    logs = (protocol.METRICS, protocol.EVENTS, protocol.HEARTBEAT)
    return holds((*places, *book.logs.files, *logs), name) or book.checkpoints.hold(name)


def _belongs(name: str) -> bool:
    """Is a file of this path part of a copy? Of the usual folders of runs, only code and settings are."""
    folders = Path(name).parts[:-1]
    return OURS.isdisjoint(folders) and (OUTPUT.isdisjoint(folders) or name.endswith(SOURCES))


def _copy(root: Path, copy: Path, name: str) -> None:
    source, target = root / name, copy / name
    if not source.is_file() or source.is_symlink() or not _belongs(name):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _link(root: Path, copy: Path, name: str) -> None:
    """Let a path of the copy be a symlink to that of the project. Raises Refused."""
    path = root / name
    if not name or not path.exists() or not Path(os.path.normpath(path)).is_relative_to(root):
        raise Refused(tr("{path} does not exist in the project", path=name or "."))
    target = copy / os.path.relpath(os.path.normpath(path), root)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    with suppress(FileNotFoundError):
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path)


def set_values(root: Path, name: str, edits: Mapping[KeyPath, Scalar]) -> None:
    """Edit settings in one YAML file of the scratch copy, as text. Raises YamlError, OSError."""
    path = root / name
    path.write_bytes(edit(path.read_bytes(), edits))
