"""The files that a new snapshot holds: those that the runbook names, and all files in the folders that it names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from atftctl.domain.runbook import Files, Kind
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files import matching
from atftctl.host.files.containment import locate
from atftctl.host.files.reading import try_read
from atftctl.observe.checkpoints import patterns
from atftctl.observe.snapshots.secret_names import is_secret
from atftctl.protocol import generations
from atftctl.protocol.messages import tr
from atftctl.state.layout import OURS, OWN, Layout


@dataclass(frozen=True)
class Sources:
    """Paths relative to the project, in the runbook's order. `left_out`: path → reason. `whole`: the models of the
    runbook that are a folder or a pattern."""

    paths: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    whole: tuple[str, ...] = ()


def sources(layout: Layout, files: Files, only: Kind = "", *, history: str = "") -> Sources:
    """The existing files for a snapshot. `only`: one kind of files, or "" for all. `history`: a folder of checkpoints
    that no snapshot holds as part of a folder: each snapshot would grow by all of them. A symlink that stays inside the
    project is a path of its own, besides the file that it points to. Raises OSError; OutsideProjectError for a
    config."""
    paths: dict[str, None] = {}
    left_out: dict[str, str] = {}
    models = files.models if only != "configs" else ()
    for name in _places(layout, files.of(only), models):
        try:
            located = locate(layout.root, name.rstrip("/"), layout.outside)
        except OutsideProjectError as error:
            if name in files.configs:
                raise
            left_out[name] = tr("{reason}; files.allow_outside in the runbook can allow that", reason=error.message)
            continue
        paths |= {link: None for link, _ in located.links}
        if located.real.is_dir():
            for path, why in _walk(located.path, located.real, os.path.normpath(history)):
                if why:
                    left_out[path] = why
                else:
                    paths[path] = None
        elif _exists(located.real):
            paths[located.path] = None
    left_out = {path: why for path, why in left_out.items() if path not in paths}
    return Sources(tuple(paths), left_out, tuple(name for name in models if is_unit(layout, name)))


def _places(layout: Layout, names: Iterable[str], models: Collection[str]) -> Iterator[str]:
    """These names, and the matches of those that are a pattern of models."""
    for name in names:
        if name in models and matching.is_pattern(layout.root, name):
            yield from patterns.matches(layout, name)
        else:
            yield name


def is_unit(layout: Layout, name: str) -> bool:
    """Is this name of a model a pattern or a folder, which a snapshot keeps as a unit? Not behind a symlink."""
    if matching.is_pattern(layout.root, name):
        return True
    try:
        located = locate(layout.root, name.rstrip("/"), layout.outside)
    except (OSError, OutsideProjectError):
        return False
    return not located.links and located.real.is_dir()


def present_files(layout: Layout, name: str, history: str) -> tuple[str, ...]:
    """The files that a snapshot would hold of one model of the runbook: a path, a folder or a pattern. `history`: as
    for `sources`. Raises OSError."""
    return sources(layout, Files(models=(name,)), history=history).paths


def _exists(path: Path) -> bool:
    """Does the file exist? Raises OSError where that can't be seen."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _walk(name: str, folder: Path, history: str) -> Iterator[tuple[str, str]]:
    """(path, why it is left out or ""), sorted by name; each path begins with the folder's `name`. `history`: a folder
    that is left out without a word. Symlinks are not
    followed, so that a loop can't be entered. There is no recursion: folders may be nested to any depth."""
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                in_order = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:  # removed since it was listed
            continue
        deeper = []
        for entry in in_order:
            path = os.path.normpath(f"{name}/{os.path.relpath(entry.path, folder)}")
            if not entry.is_symlink() and entry.is_dir():
                if path not in (*OURS, history) and entry.name != ".git" and not _is_staging(path, entry):
                    deeper.append(entry.path)
            else:
                yield path, _why_left_out(entry, path)
        waiting += reversed(deeper)


def _is_staging(path: str, entry: os.DirEntry[str]) -> bool:
    """Does this folder hold the unfinished files of a trainer?"""
    if not generations.is_folder(path):
        return False
    mark = try_read(Path(entry.path, generations.MARK))
    return mark is not None and generations.is_mark(mark)


def _why_left_out(entry: os.DirEntry[str], path: str) -> str:
    if entry.is_symlink():
        return tr("it is a symlink")
    if not entry.is_file():
        return tr("it is not a regular file")
    if path in OWN:
        return tr("a snapshot's own file has this name")
    return tr("its name looks like a secret; list it in files.also to keep it") if is_secret(path) else ""
