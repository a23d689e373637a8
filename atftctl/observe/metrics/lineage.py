"""Which rows of the metrics the recorded run descends from, as far as they were trained with the same settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from atftctl import protocol
from atftctl.domain.metric_rules import MetricsSince
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.record import record
from atftctl.domain.run_rows import Row
from atftctl.observe.metrics.rotation import is_compressed, parts
from atftctl.observe.metrics.run_rows import FileRows
from atftctl.observe.metrics.runs import all_events
from atftctl.observe.trainer_run.event_log import parts_since
from atftctl.state.layout import Layout

SCRATCH = "scratch"
STEPS = 1 << 53  # what no step reaches


@record
class Segment:
    """Training with the same settings, from this step on. `source`: the checkpoint that it goes on from. `parent`: the
    generation that saved this checkpoint; 0 where that is not known. `measured_on`: what its figures are measured on,
    as the trainer says it; empty where it does not."""

    run_id: str
    generation: int
    step: int
    digest: str
    source: str
    parent: int
    measured_on: Mapping[str, Any] = field(default_factory=dict)


@record
class Lineage:
    """`generation`: of the run. `begin`: the step that its oldest rows follow; 0 for new weights. `spans`: by
    generation, the steps that are used: those after the first number, up to the second one. Without a generation, these
    are the rows behind what was recorded at the start (`since`). `measured_on`: see Segment."""

    generation: int
    begin: int
    spans: Mapping[int, tuple[int, int]]
    measured_on: Mapping[str, Any]
    since: MetricsSince = MetricsSince()


def lineage(layout: Layout, run: ProcessRecord, digest: str) -> Lineage | None:
    """The rows that this run descends from; None where it does not train with the settings of this digest."""
    segments = list(_segments(all_events(layout.root)))
    own = [at for at, segment in enumerate(segments) if segment.run_id == run.run_id]
    if not own:
        if run.digest != digest:
            return None
        spans = {run.generation: (-1, STEPS)} if run.generation else {}
        return Lineage(run.generation, 0, spans if layout.metrics.is_default else {}, {}, run.metrics_since)
    at: int | None = own[-1]
    newest = segments[own[-1]]
    if newest.digest != digest:
        return None
    if not layout.metrics.is_default:  # its rows may have no generation: only those of this run are told apart
        begin = 0 if newest.source == SCRATCH else newest.step
        return Lineage(newest.generation, begin, {}, newest.measured_on, run.metrics_since)
    spans, end, begin = dict[int, tuple[int, int]](), STEPS, newest.step
    while at is not None and segments[at].digest == digest:
        segment = segments[at]
        begin = 0 if segment.source == SCRATCH else segment.step
        _, reached = spans.get(segment.generation, (0, end))
        spans[segment.generation] = (begin, reached)
        end, at = begin, None if begin <= 0 else _before(segments, at)
    if not newest.generation:
        spans = {}
    return Lineage(newest.generation, begin, spans, newest.measured_on, run.metrics_since)


def _segments(events: Iterator[Mapping[str, Any]]) -> Iterator[Segment]:
    for event in events:
        if event["event"] not in (protocol.STARTED, protocol.RELOADED) or "rank" in event:
            continue
        measured_on = event.get("measured_on")
        yield Segment(
            str(event.get("run_id", "")),
            _whole(event.get("generation")),
            _whole(event.get("step")),
            str(event.get("digest", "")),
            str(event.get("resumed_from", "")),
            _whole(event.get("resumed_generation")) if event["event"] == protocol.STARTED else 0,
            measured_on if isinstance(measured_on, dict) else {},
        )


def _before(segments: Sequence[Segment], at: int) -> int | None:
    """The segment that this one goes on from; None where that is not known."""
    segment = segments[at]
    for earlier in range(at - 1, -1, -1):
        other = segments[earlier]
        reload = other.run_id == segment.run_id
        if other.step < segment.step and (reload or (segment.parent and other.generation == segment.parent)):
            return earlier
    return None


def _whole(value: object) -> int:
    return value if type(value) is int and 0 <= value < STEPS else 0


def rows_of(layout: Layout, found: Lineage, wanted: Sequence[str]) -> Iterator[Row]:
    """The rows of a lineage, as they were written. Raises OSError and HostError where a file can't be read; a file that
    a rotation compressed is left out."""
    if not layout.metrics.is_default:
        from atftctl.observe.metrics.of_run import all_rows_since

        yield from all_rows_since(layout, found.since, wanted)
        return
    if not found.spans:
        for path, start in parts_since(layout.root, protocol.METRICS, found.since.offset, found.since.inode):
            yield from FileRows(path, wanted, start=start)
        return
    for path in parts(layout.root, protocol.METRICS):
        if is_compressed(path):
            continue
        for row in FileRows(path, wanted):
            begin, end = found.spans.get(row.generation, (STEPS, 0))
            if begin < row.step <= end:
                yield row
