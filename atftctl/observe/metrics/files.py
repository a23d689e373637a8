"""Find the files of metrics that the runbook names, and those of one run among them."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from atftctl.domain.metric_rules import Known, MetricsPlace, format_by_name, is_usual_name
from atftctl.host.errors import HostError
from atftctl.host.files.matching import matching
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.formats.detect import format_of
from atftctl.observe.metrics.rotation import is_compressed, parts
from atftctl.state.layout import OURS, Layout
from atftctl.state.metrics_places import bytes_before

HEAD = 4096  # bytes from which the format is told
MOST = 200  # files that are used, those that were written last


class MetricsFile(NamedTuple):
    """A file of metrics. `name`: relative to the project. `path`: its real path. `written`: the time of its last
    write, in nanoseconds. `series`: files of the same series follow each other: those that a rotation made of a file
    that the runbook names, or that a pattern found in one folder; different series may be written at the same time.
    `prefix`: what the names of its columns begin with: the folder, where it lies below a folder of the same run.
    `follows`: it goes on where another file ends, which a rotation renamed."""

    name: str
    path: Path
    format: Known
    inode: int
    size: int
    written: int
    series: str = ""
    prefix: str = ""
    follows: bool = False

    @property
    def is_whole(self) -> bool:
        """Is it written as a whole, with all that was logged before?"""
        return self.format == "huggingface"


def files_of(layout: Layout) -> list[MetricsFile]:
    """The files that the runbook names, those that were written last at the end; compressed ones are left out."""
    known = dict[Path, MetricsFile]()
    for name, path, series, follows in _named(layout):
        if path not in known and not is_compressed(path) and (file := file_at(layout, name, path)):
            known[path] = file._replace(series=series, follows=follows)
    newest = sorted(known.values(), key=lambda file: (file.written, file.name))[-MOST:]
    folders = {file.series for file in newest if file.series.endswith("/")}
    return [file._replace(prefix=file.series.removeprefix(_above(file, folders))) for file in newest]


def _above(file: MetricsFile, folders: set[str]) -> str:
    """The folder of the run that a file belongs to; the series of a file that the runbook names by itself."""
    above = [folder for folder in folders if file.series.startswith(folder)]
    return min(above, key=len, default=file.series)


def newest_run(files: Sequence[MetricsFile], written: Iterable[str] = ()) -> list[MetricsFile]:
    """The files of the newest run, the oldest first, and those of the runs of `written`: files that the recorded run
    has written to. Of files that are written as a whole, the newest one."""
    if not files:
        return []
    if files[-1].is_whole:
        return newest_history(files)
    runs, names = runs_of(files), {*written, files[-1].name}
    chosen = {file for run in runs if any(file.name in names for file in run) for file in run}
    return [file for file in files if file in chosen]


def runs_of(files: Sequence[MetricsFile]) -> list[list[MetricsFile]]:
    """The files by runs, the run that was written last at the end. What patterns and folders stand for is a run for
    each folder, with the folders in it; files that the runbook names one by one belong together. Files that are written
    as a whole are left out."""
    runs = dict[str, list[MetricsFile]]()
    for file in reversed(files):
        if not file.is_whole:
            folder = file.series.removesuffix(file.prefix) if file.series.endswith("/") else ""
            runs.setdefault(folder, []).insert(0, file)
    return list(runs.values())[::-1]


def begin_of(file: MetricsFile, places: dict[int, MetricsPlace]) -> int | None:
    """The offset from which on a file was written since these places (by inode) were recorded; None where nothing
    was."""
    place = places.get(file.inode)
    if place is None:
        return 0
    if file.size < place.offset or not holds(file, place.offset, place.seen):
        return 0  # written anew
    if file.size == place.offset:
        return None
    return 0 if file.is_whole else place.offset


def holds(file: MetricsFile, offset: int, seen: str) -> bool:
    """Has the file these bytes before the offset?"""
    return not seen or bytes_before(file.path, offset).hex() == seen


def written_since(files: Sequence[MetricsFile], places: Sequence[MetricsPlace]) -> list[tuple[MetricsFile, int]]:
    """(file, offset) of all that was written since these places were recorded, in the order of the files. Of files that
    are written as a whole, the newest one."""
    known = {place.inode: place for place in places}
    since = [(file, begin) for file in files if (begin := begin_of(file, known)) is not None]
    history = newest_history([file for file, _ in since])
    return [(file, begin) for file, begin in since if not file.is_whole or file in history]


def newest_history(files: Sequence[MetricsFile]) -> list[MetricsFile]:
    """Of the files that are written as a whole, the newest one that is complete; the newest where none is. A trainer
    may be writing one, and delete old ones."""
    histories = [file for file in files if file.is_whole]
    return [file for file in histories[-3:] if _is_complete(file)][-1:] or histories[-1:]


def _is_complete(file: MetricsFile) -> bool:
    try:
        with open_regular(file.path) as opened:
            opened.seek(max(0, file.size - 16))
            return opened.read(1 << 10).rstrip().endswith(b"}")
    except (OSError, HostError):
        return False


def file_at(layout: Layout, name: str, path: Path) -> MetricsFile | None:
    """The file of this name; None where it is no regular file that can be read."""
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode):
            return None
        rule = layout.metrics.format
        known = format_by_name(name) if rule == "auto" else rule
        if known is None:
            with open_regular(path) as file:
                known = format_of(name, file.read(HEAD))
    except (OSError, HostError):
        return None
    return MetricsFile(name, path, known, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def by_series(files: Sequence[MetricsFile]) -> list[list[MetricsFile]]:
    """The files of each series."""
    series = dict[str, list[MetricsFile]]()
    for file in files:
        series.setdefault(file.series, []).append(file)
    return list(series.values())


def _named(layout: Layout) -> Iterator[tuple[str, Path, str, bool]]:
    """(path relative to the project, real path, series, whether it goes on where another one ends). A series that a
    pattern or a folder stands for is a folder, with a slash at its end."""
    for entry in layout.metrics.files:
        for name, path in matching(layout.root, entry, is_usual_name, OURS):
            rotated = parts(layout.root, name) if name == entry else [path]
            for number, part in enumerate(rotated):
                series = entry if name == entry else f"{Path(name).parent}/"
                yield str(Path(name).with_name(part.name)) if part != path else name, part, series, number > 0
