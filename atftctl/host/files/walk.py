"""The names of the files below a folder, as far as a person could look through them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Bounds:
    """How far a walk goes: entries in all, entries of one folder, levels of folders, and names of folders that are
    passed over. Hidden folders and Python environments are passed over, too."""

    entries: int = 50_000
    in_folder: int = 2_000
    levels: int = 6
    skip: Container[str] = ()


@dataclass
class Walked:
    """The paths below a folder, relative to it. `links`: symlinks, which are not followed. `uncounted`: folders that
    were not read whole. `strange`: entries whose names can't be printed, which are left out."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    uncounted: list[str] = field(default_factory=list)
    strange: int = 0
    entries: int = 0


def walk(root: Path, bounds: Bounds) -> Walked:
    """Walk level by level, so that what lies deep is left out first. No symlink is followed."""
    walked, waiting = Walked(), deque([("", 0)])
    while waiting:
        folder, level = waiting.popleft()
        if walked.entries >= bounds.entries:
            walked.uncounted.append(folder)
            continue
        prefix = f"{folder}/" if folder else ""
        for entry in _entries(root, folder, bounds, walked):
            path = prefix + entry.name
            if entry.is_symlink():
                walked.links.append(path)
            elif not entry.is_dir(follow_symlinks=False):
                walked.files.append(path)
            elif not entry.name.startswith(".") and entry.name not in bounds.skip:
                walked.folders.append(path)
                if level < bounds.levels:
                    waiting.append((path, level + 1))
    return walked


def _entries(root: Path, folder: str, bounds: Bounds, walked: Walked) -> Iterable[os.DirEntry[str]]:
    """The entries of one folder by name; none of a Python environment."""
    entries: list[os.DirEntry[str]] = []
    try:
        with os.scandir(root / folder) as listing:
            for number, entry in enumerate(listing):
                if number >= min(bounds.in_folder, bounds.entries - walked.entries):
                    walked.uncounted.append(folder)
                    break
                entries.append(entry)
    except OSError:
        walked.uncounted.append(folder)
    walked.entries += len(entries)
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return ()
    printable = [entry for entry in entries if entry.name.isprintable()]
    walked.strange += len(entries) - len(printable)
    return sorted(printable, key=lambda entry: entry.name)
