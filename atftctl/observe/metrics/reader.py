"""What a reader of metrics offers, whatever kind of file it reads."""

from __future__ import annotations

from typing import Protocol

from atftctl.domain.metrics_table import MetricsTable, NewestRows
from atftctl.state.layout import Layout


class MetricsReader(Protocol):
    """One kind of metrics."""

    @property
    def source(self) -> str:
        """Where the metrics are, for people: a path relative to the project."""

    def read(self) -> MetricsTable | None:
        """All rows; None where nothing was written yet. Raises Refused where the metrics can't be read, or a package
        that this needs is missing."""

    def newest(self, rows: int) -> NewestRows | None:
        """The newest rows, quickly and with the standard library only; None where nothing was written yet. Raises
        Refused where the metrics can't be read."""


def reader_of(layout: Layout) -> MetricsReader:
    """The reader of the metrics of this project."""
    if layout.metrics.is_default:
        from atftctl.observe.metrics.csv_file import CsvMetrics

        return CsvMetrics(layout.root)
    from atftctl.observe.metrics.any_files import AnyMetrics

    return AnyMetrics(layout)
