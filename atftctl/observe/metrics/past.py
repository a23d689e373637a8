"""Every row of a file of metrics of a past run, in whatever format it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atftctl.domain.metric_rules import STEP
from atftctl.domain.run_rows import Row
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.files import MetricsFile, file_at
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.rows import in_order
from atftctl.observe.metrics.run_rows import FileRows, Progress, ignore
from atftctl.observe.metrics.streams import rows_of_file
from atftctl.state.layout import Layout


@dataclass
class PastRows:
    """Every row of one file. `count`: rows so far; `torn`: lines or records so far that were no rows. Iterating raises
    OSError and HostError where the file can't be read."""

    file: MetricsFile
    columns: Columns
    progress: Progress = ignore
    count: int = 0

    @property
    def torn(self) -> int:
        return self.columns.counts.damaged

    def __iter__(self) -> Iterator[Row]:
        for row in in_order([self.file], lambda file: rows_of_file(file, self.columns, 0, self.progress)):
            self.count += 1
            yield row


def past_rows(layout: Layout, path: Path, wanted: Sequence[str], progress: Progress) -> FileRows | PastRows:
    """The rows of a file. wanted: the columns that are needed. Raises OSError and HostError where it can't be read."""
    open_regular(path).close()
    file = file_at(layout, path.name, path)
    if file is None or (file.format == "csv" and layout.metrics.step == STEP and _is_plain(path)):
        return FileRows(path, wanted, progress)
    return PastRows(file, Columns(layout.metrics.step, wanted), progress)


def _is_plain(path: Path) -> bool:
    """Has the CSV commas and no quotes, as far as its first bytes tell?"""
    with open_regular(path) as file:
        head = file.read(1 << 16)
    return b'"' not in head and b"," in head.partition(b"\n")[0]
