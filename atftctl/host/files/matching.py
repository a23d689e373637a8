"""Find the files of a project that a path, a folder or a pattern stands for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from glob import iglob
from heapq import nlargest
from itertools import islice
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.files.containment import check_relative
from atftctl.host.files.logs import real_path

MOST = 2_000  # files that an entry stands for, those that were written last
MOST_NAMES = 1_000_000  # that are looked at
SIGNS = "*?["


def is_pattern(root: Path, name: str) -> bool:
    """Is this a pattern, and no file that has this very name?"""
    return any(sign in name for sign in SIGNS) and not (root / name).exists()


def matching(
    root: Path, name: str, usual: Callable[[str], bool], ignored: tuple[str, ...] = ()
) -> Iterator[tuple[str, Path]]:
    """(path relative to `root`, real path) of each file that this entry stands for: the path itself; the files below
    a folder that `usual` takes by their names; what a pattern matches. Of very many, those that were written last.
    ignored: names of folders that are not entered. Nothing for a path that leads out of the project."""
    try:
        check_relative(name)
    except HostError:
        return
    if is_pattern(root, name):
        matches = (match for match in iglob(name, root_dir=root, recursive=True) if not _is_in(match, ignored))
        yield from ((match, real_path(root, match)) for match in newest(root, matches, MOST))
        return
    path = real_path(root, name)
    if path.is_dir():
        below = newest(path, _below(path, usual, ignored), MOST)
        yield from ((os.path.join(name, each), path / each) for each in below)
    else:
        yield name, path


def newest(root: Path, names: Iterable[str], most: int) -> list[str]:
    """The paths, relative to `root`; where there are more than `most`, those that were written last, the newest first.
    The order of a folder has no meaning: of its first files, none may be of this run."""
    times = {name: _written(os.path.join(root, name)) for name in islice(names, MOST_NAMES)}
    return list(times) if len(times) <= most else nlargest(most, times, key=lambda name: (times[name], name))


def _written(path: str) -> int:
    """When a file was written, in nanoseconds; 0 where it is gone."""
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


def _below(folder: Path, usual: Callable[[str], bool], ignored: tuple[str, ...]) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in ignored)
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in filter(usual, names))


def _is_in(path: str, folders: tuple[str, ...]) -> bool:
    return not set(Path(path).parts[:-1]).isdisjoint(folders)
