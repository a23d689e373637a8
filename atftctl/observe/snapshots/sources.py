"""Which files a snapshot is to hold: what the runbook names, and what lies in the folders that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from atftctl.domain.runbook import Files, Kind
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files.containment import locate
from atftctl.observe.snapshots.secret_names import is_secret
from atftctl.state.layout import OURS, OWN, Layout


@dataclass(frozen=True)
class Sources:
    """Paths relative to the project, in the runbook's order; what was left out, and why."""

    paths: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def sources(layout: Layout, files: Files, only: Kind = "") -> Sources:
    """`only`: configs or models, else all; no file that is not there. A symlink that stays inside the project is a path
    of its own, beside the file that it leads to. Raises OSError; OutsideProjectError for a config."""
    paths: dict[str, None] = {}
    left_out: dict[str, str] = {}
    for name in files.of(only):
        try:
            found = locate(layout.root, name.rstrip("/"), layout.outside)
        except OutsideProjectError as error:
            if name in files.configs:
                raise
            left_out[name] = f"{error}; files.allow_outside of the runbook can allow that place"
            continue
        paths |= {link: None for link, _ in found.links}
        if found.real.is_dir():
            for path, why in _walk(found.path, found.real):
                if why:
                    left_out[path] = why
                else:
                    paths[path] = None
        elif _there(found.real):
            paths[found.path] = None
    return Sources(tuple(paths), {path: why for path, why in left_out.items() if path not in paths})


def _there(path: Path) -> bool:
    """A file that may not be looked at is no file that is not there. Raises OSError."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _walk(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """(path, why it is left out or ""), in order of name; paths begin with the folder's `name`. A symlink is not
    followed, so that no loop has an end to find; folders wait on a stack of our own, however deep they are."""
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            found = sorted(entries, key=lambda one: one.name)
        deeper = []
        for entry in found:
            path = os.path.normpath(f"{name}/{os.path.relpath(entry.path, folder)}")
            if not entry.is_symlink() and entry.is_dir():
                if path not in OURS and entry.name != ".git":
                    deeper.append(entry.path)
            else:
                yield path, _why_not(entry, path)
        waiting += reversed(deeper)


def _why_not(entry: os.DirEntry[str], path: str) -> str:
    if entry.is_symlink():
        return "a symlink"
    if not entry.is_file():
        return "no regular file"
    if path in OWN:
        return "a snapshot's own file has this name"
    return "it looks like a secret; name it in files.also to keep it" if is_secret(path) else ""
