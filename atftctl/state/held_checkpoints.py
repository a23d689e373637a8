"""Checkpoints that are held under a second name while they are graded, below `.atftctl/held/`: a running trainer may
remove or replace the first name meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from atftctl.host.files.folders import make_dirs
from atftctl.host.process import owner
from atftctl.state.layout import Layout


@contextmanager
def held(layout: Layout, paths: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Hold these files for the block. Yields their second names, relative to the project, by path; what can't be held,
    as a folder or a file on another disk, has none."""
    folder = layout.held / owner.own_name()
    names: dict[str, str] = {}
    try:
        with suppress(OSError):
            make_dirs(folder, 0o700)
        for number, path in enumerate(paths):
            with suppress(OSError):
                place = folder / str(number)
                os.link(layout.root / path, place, follow_symlinks=False)
                names[path] = str(place.relative_to(layout.root))
        yield names
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(layout: Layout) -> None:
    """Let go of what a process held that has ended. Errors are ignored."""
    for folder in layout.held.glob("*"):
        if not owner.alive(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
