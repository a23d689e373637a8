"""Find the files of a project that a path, a folder or a pattern stands for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from glob import iglob
from itertools import islice
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.files.containment import check_relative
from atftctl.host.files.logs import real_path

MOST = 20_000  # files that are looked at
SIGNS = "*?["


def is_pattern(root: Path, name: str) -> bool:
    """Is this a pattern, and no file that has this very name?"""
    return any(sign in name for sign in SIGNS) and not (root / name).exists()


def matching(
    root: Path, name: str, usual: Callable[[str], bool], ignored: tuple[str, ...] = ()
) -> Iterator[tuple[str, Path]]:
    """(path relative to `root`, real path) of each file that this entry stands for: the path itself; the files below
    a folder that `usual` takes by their names; what a pattern matches. ignored: names of folders that are not entered.
    Nothing for a path that leads out of the project."""
    try:
        check_relative(name)
    except HostError:
        return
    if is_pattern(root, name):
        matches = (match for match in iglob(name, root_dir=root, recursive=True) if not _is_in(match, ignored))
        yield from ((match, real_path(root, match)) for match in islice(matches, MOST))
        return
    path = real_path(root, name)
    if path.is_dir():
        yield from islice(_below(name, path, usual, ignored), MOST)
    else:
        yield name, path


def _below(
    name: str, folder: Path, usual: Callable[[str], bool], ignored: tuple[str, ...]
) -> Iterator[tuple[str, Path]]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in ignored)
        for each in filter(usual, names):
            path = Path(place, each)
            yield str(Path(name, path.relative_to(folder))), path


def _is_in(path: str, folders: tuple[str, ...]) -> bool:
    return not set(Path(path).parts[:-1]).isdisjoint(folders)
