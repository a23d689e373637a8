"""The rows of one run, wherever the runbook says that the metrics are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from atftctl.domain.metric_rules import MetricsSince
from atftctl.domain.run_rows import Row, RunRows
from atftctl.observe.metrics import run_rows
from atftctl.observe.metrics.following import Followed, RowFollower
from atftctl.observe.metrics.run_rows import Progress, ignore
from atftctl.state.layout import Layout


class Follower(Protocol):
    """Reads the rows of one run; see RowFollower."""

    @property
    def state(self) -> Followed: ...

    def read(self, progress: Progress = ignore) -> Iterator[Sequence[Row]]: ...

    def run_rows(self) -> RunRows: ...

    def close(self) -> None: ...


def follower(layout: Layout, wanted: Sequence[str], quality: str, generation: int, state: Followed) -> Follower:
    """The follower of the metrics of this project; see RowFollower."""
    if layout.metrics.is_default:
        return RowFollower(layout.root, wanted, quality, generation, state)
    from atftctl.observe.metrics.following_files import FilesFollower

    return FilesFollower(layout, wanted, quality, generation, state)


def rows_of_run(
    layout: Layout,
    wanted: Sequence[str],
    since: MetricsSince,
    *,
    generation: int = 0,
    after: int = -1,
    progress: Progress = ignore,
) -> RunRows:
    """The rows of one run, thinned where there are many.

    wanted: the columns that are needed. since: where the metrics ended when the run was started. generation: its
    number, 0 where that is not known. after: only rows with a later step. progress: is told how many bytes more have
    been read. Raises nothing: what can't be read is said in `problem`.
    """
    if not layout.metrics.is_default:
        from atftctl.observe.metrics import of_run

        return of_run.run_rows(layout, wanted, since, generation=generation, after=after, progress=progress)
    return run_rows.run_rows(
        layout.root, wanted, offset=since.offset, inode=since.inode, generation=generation, after=after,
        progress=progress,
    )  # fmt: skip
