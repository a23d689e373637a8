"""Where the files of metrics end: recorded at the start of a run, so that its rows are told from those before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from atftctl.domain.metric_rules import MetricsPlace, is_usual_name
from atftctl.host.errors import HostError
from atftctl.host.files.matching import matching
from atftctl.host.files.reading import open_regular
from atftctl.state.layout import OURS, Layout

MOST = 1000  # files, those that were written last: more than are read, of which some may be deleted
SEEN = 64  # bytes before a place that are compared, to notice a file that was written anew


def places_of(layout: Layout) -> tuple[MetricsPlace, ...]:
    """Where each file ends now: what a run writes from now on is behind these places. Nothing for the one CSV that the
    protocol names. Raises nothing."""
    if layout.metrics.is_default:
        return ()
    known = dict[Path, tuple[int, MetricsPlace]]()
    for name, path in _files(layout):
        try:
            facts = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and path not in known:
            known[path] = facts.st_mtime_ns, MetricsPlace(name, facts.st_ino, facts.st_size)
    newest = sorted(known.items(), key=lambda item: item[1][0])[-MOST:]
    return tuple(place._replace(seen=bytes_before(path, place.offset).hex()) for path, (_, place) in newest)


def bytes_before(path: Path, offset: int) -> bytes:
    """The bytes before a place in a file; empty where it can't be read."""
    try:
        with open_regular(path) as file:
            return os.pread(file.fileno(), min(SEEN, offset), max(0, offset - SEEN))
    except (OSError, HostError):
        return b""


def _files(layout: Layout) -> Iterator[tuple[str, Path]]:
    """(path relative to the project, real path) of the files, and of what a rotation may have made of them."""
    for entry in layout.metrics.files:
        for name, path in matching(layout.root, entry, is_usual_name, OURS):
            yield name, path
            if name == entry:
                yield from _beside(name, path)


def _beside(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    try:
        others = os.listdir(path.parent)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    stem = path.name.split(".", 1)[0]
    for other in others:
        if other != path.name and other.startswith(stem):
            yield str(Path(name).with_name(other)), path.with_name(other)
