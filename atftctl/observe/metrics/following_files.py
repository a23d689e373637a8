"""Follow the rows that one run of the trainer writes, in all files of metrics that the runbook names: each row is read
once, however long the run lasts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from atftctl.domain.run_rows import Row, RunRows
from atftctl.host.errors import HostError, reason
from atftctl.host.files.matching import is_pattern
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.files import MetricsFile, begin_of, files_of, holds, newest_history
from atftctl.observe.metrics.following import FilePlace, Followed, counted, rows_of_state
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.of_run import RunReading, header_of
from atftctl.observe.metrics.run_rows import Progress, ignore
from atftctl.observe.metrics.streams import Stream, inherited, state_rows
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout
from atftctl.state.metrics_places import bytes_before

SEARCH_S = 2.0  # between two searches for new files, where the runbook names patterns or folders


class _File:
    """One file, and how far it was read."""

    def __init__(self, file: MetricsFile, place: FilePlace, columns: Columns) -> None:
        self.file, self.place = file, place
        self.stream = Stream(file, columns, place.offset)
        self.known = (-1, -1)  # size and time of the last write when it was read to its end

    def took(self, rows: Sequence[Row]) -> None:
        """Count these rows as read."""
        if rows:
            self.place = self.place._replace(rows=self.place.rows + len(rows), step=rows[-1].step)


class FilesFollower:
    """Reads the rows of one run. wanted: the columns that are needed. quality: the column of the quality, or "".
    generation: of the run, 0 where that is not known. state: where to go on."""

    def __init__(self, layout: Layout, wanted: Sequence[str], quality: str, generation: int, state: Followed) -> None:
        self._layout, self._quality, self._state = layout, quality, state
        self._reading = RunReading(Columns(layout.metrics.step, wanted), generation)
        for name in state.header:
            self._reading.columns.takes(name)
        self._files = dict[int, _File]()  # by inode
        # Of a history, no bytes before the place are kept: the file is read as a whole.
        self._taken_history = next((place for place in state.files if place.rows and not place.seen), None)
        self._whole = (0, 0, 0)  # inode, size and time of the last write of the file that it was read from
        self._places = {place.inode: place for place in state.files if place != self._taken_history}
        self._searched, self._found, self._written = -SEARCH_S, list[MetricsFile](), 0.0
        self._is_search = any(is_pattern(layout.root, name) or (layout.root / name).is_dir()
                              for name in layout.metrics.files)  # fmt: skip
        self.problem = ""

    @property
    def state(self) -> Followed:
        """What was read so far, and where to go on."""
        places = {**self._places, **{inode: file.place for inode, file in self._files.items()}}
        history = [self._taken_history] if self._taken_history else []
        return self._state._replace(files=(*places.values(), *history))

    def read(self, progress: Progress = ignore) -> Iterator[Sequence[Row]]:
        """The rows that were added, some at a time. A last record that is not complete is left for the next time.
        progress: is told how many bytes more have been read. Raises nothing: see `problem`."""
        files = self._search()
        self.problem = "" if files else tr("there is no such file")
        for file in [*(file for file in files if not file.is_whole), *newest_history(files)]:
            try:
                pieces = self._history(file) if file.is_whole else self._added(file, progress)
                for rows in pieces:
                    yield self._taken(rows)
            except FileNotFoundError:
                continue  # deleted since it was found
            except (OSError, HostError) as error:
                self.problem = reason(error)

    def run_rows(self) -> RunRows:
        """What is known of the rows, as everything that judges them takes it."""
        written = self._written or None
        return rows_of_state(self._state, None if self.problem else written, self.problem if self._found else "")

    def close(self) -> None:
        """Nothing is kept open."""

    def _search(self) -> list[MetricsFile]:
        """The files that there are now."""
        if not self._is_search or time.monotonic() - self._searched >= SEARCH_S or self._searched < 0:
            self._found, self._searched = files_of(self._layout), time.monotonic()
        return self._found

    def _added(self, found: MetricsFile, progress: Progress) -> Iterator[list[Row]]:
        """The rows that were added to a file."""
        with open_regular(found.path) as opened:
            facts = os.fstat(opened.fileno())
            file = self._file(found._replace(inode=facts.st_ino, size=facts.st_size))
            if file.known == (facts.st_size, facts.st_mtime_ns):
                return
            if facts.st_size < file.place.offset or not holds(found, file.place.offset, file.place.seen):
                yield from self._again(file, progress)
            elif facts.st_size > file.place.offset:
                self._written = max(self._written, facts.st_mtime)
                for rows in file.stream.read(opened, progress):
                    file.took(rows)
                    self._mark(file)
                    yield self._reading.own(rows)
            file.known = (facts.st_size, facts.st_mtime_ns)

    def _file(self, found: MetricsFile) -> _File:
        """The file as it is followed."""
        if found.inode in self._files:
            return self._files[found.inode]
        place = self._places.pop(found.inode, None)
        if place is None:
            place = self._replaced(found)
        self._files[found.inode] = file = _File(found, place, self._reading.columns)
        return file

    def _replaced(self, found: MetricsFile) -> FilePlace:
        """The place in a file that is seen for the first time: its begin. Where it took the name of a file that is
        gone, it may hold the same rows."""
        inodes = {file.inode for file in self._found}
        for places in (self._places, {inode: file.place for inode, file in self._files.items()}):
            for inode, place in places.items():
                if place.name == found.name and inode not in inodes and place.rows:
                    self._places.pop(inode, None)
                    self._files.pop(inode, None)
                    return place._replace(inode=found.inode, offset=1 << 62)
        return FilePlace(found.name, found.inode)

    def _again(self, file: _File, progress: Progress) -> Iterator[list[Row]]:
        """The rows of a file that was written anew. Where it begins with the rows that were read before, only those
        behind them."""
        known = file.place
        skip = known.rows if known.rows and self._step_of(file.file, known.rows) == known.step else 0
        file.place = FilePlace(known.name, file.file.inode)
        file.stream = Stream(file.file, self._reading.columns)
        with open_regular(file.file.path) as opened:
            self._written = max(self._written, os.fstat(opened.fileno()).st_mtime)
            for rows in file.stream.read(opened, progress):
                left = skip - file.place.rows
                file.took(rows)
                self._mark(file)
                yield self._reading.own(rows[max(0, left) :])

    def _step_of(self, file: MetricsFile, number: int) -> int:
        """The step of the row with this number; -1 where the file has fewer."""
        with open_regular(file.path) as opened:
            for rows in Stream(file, Columns(self._layout.metrics.step, ())).read(opened):
                if number <= len(rows):
                    return rows[number - 1].step
                number -= len(rows)
        return -1

    def _mark(self, file: _File) -> None:
        offset = file.stream.offset
        file.place = file.place._replace(offset=offset, seen=bytes_before(file.file.path, offset).hex())

    def _history(self, found: MetricsFile) -> Iterator[list[Row]]:
        """The rows that were added to a history that is written as a whole, in this file or in an earlier one."""
        facts = (found.inode, found.size, found.written)
        at_start = [place.begin for place in self._places.values() if not place.rows]
        if facts == self._whole or begin_of(found, {place.inode: place for place in at_start}) is None:
            return
        known, columns = self._taken_history, self._reading.columns
        rows = state_rows(found, Columns(columns.step, columns.wanted, names=columns.names))
        if known and known.rows <= len(rows) and rows[known.rows - 1].step == known.step:
            begin = known.rows
        else:
            begin = inherited(rows, found, self._found, at_start, columns)
        self._whole = facts
        if rows:
            self._taken_history = FilePlace(found.name, found.inode, found.size, "", len(rows), rows[-1].step)
        self._written = max(self._written, found.written / 1e9)
        yield self._reading.own(rows[begin:])

    def _taken(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Count the new rows, and what was left out."""
        reading, columns = self._reading, self._reading.columns
        self._state = counted(
            self._state, rows, columns.counts.damaged, reading.earlier, reading.later, header_of(columns), self._quality
        )
        columns.counts.damaged = reading.earlier = reading.later = 0
        return rows
