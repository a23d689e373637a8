"""Rows of the metrics as text by column, as those take them that judge a window of a run."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.metric_rules import STEP, MetricsSince
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.run_rows import Row
from atftctl.observe.trainer_run import event_log
from atftctl.protocol import GENERATION_COLUMN
from atftctl.state.layout import Layout

TextRow = dict[str, str]


def metrics_since(layout: Layout, since: MetricsSince, generation: int = 0) -> list[TextRow]:
    """The rows that were written since a place, as far as a window needs them: of large files only the newest part.
    generation: of the trainer whose rows are wanted; 0 for all."""
    if layout.metrics.is_default:
        return event_log.metrics_since(layout.root, since.offset, inode=since.inode, generation=generation)
    from atftctl.observe.metrics.of_run import rows_since

    return [_text(row) for row in rows_since(layout, since, generation)]


def last_metrics(layout: Layout, rows: int, record: ProcessRecord | None) -> list[TextRow]:
    """The last rows of the recorded run; of any where none is recorded."""
    if layout.metrics.is_default:
        return event_log.last_metrics(layout.root, rows, generation=record.generation if record else None)
    from atftctl.observe.metrics.any_files import of_run

    newest: Sequence[Row] = of_run(layout, rows, record.metrics_since if record else MetricsSince())
    if record and record.generation:
        newest = [row for row in newest if row.generation in (0, record.generation)]
    return [_text(row) for row in newest]


def _text(row: Row) -> TextRow:
    values = {name: repr(value) for name, value in row.values.items()}
    return {STEP: str(row.step), GENERATION_COLUMN: str(row.generation or ""), **values}
