"""What an operation cost: training steps, and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atftctl import protocol
from atftctl.decide.detectors.middle import median
from atftctl.domain.incident import Cost, Placed, Recorded, seconds_of, step_of
from atftctl.domain.run_rows import Row


def cost(
    operation: Recorded,
    process: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    rows: Placed,
    step_time: str,
) -> Cost:
    """What the operation cost, as far as that is known.

    process: the trainer before the change, as the evidence has it. before, after: events of the trainers before and
    after the change. step_time: the column of the seconds that a step takes; "" for none.
    """
    steps = _given_up(operation, process, before, after, rows)
    seconds = _step_seconds(rows.before, step_time)
    return Cost(
        steps=steps,
        training_s=steps * seconds if steps is not None and seconds is not None else None,
        down_s=_down(operation, process, before),
        took_s=sum(operation.parts.values()) if operation.parts else None,
    )


def _given_up(
    operation: Recorded,
    process: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    rows: Placed,
) -> int | None:
    """The steps that the trainer had made beyond the checkpoint that it went on from."""
    if not operation.generation:
        return 0  # no trainer was started
    reached = [step_of(process.get("step")), *(step_of(event.get("step")) for event in before)]
    known = [step for step in (*reached, rows.before[-1].step if rows.before else None) if step is not None]
    begun = [step_of(event.get("step")) for event in after if event["event"] == protocol.STARTED]
    first = step_of(operation.first_step.get("step"))
    resumed = next((step for step in begun if step is not None), None if first is None else max(0, first - 1))
    return max(0, max(known) - resumed) if known and resumed is not None else None


def _step_seconds(rows: Sequence[Row], column: str) -> float | None:
    values = [value for row in rows if 0 <= (value := row.values.get(column, -1.0)) < 1e9]
    return median(values) if values else None


def _down(operation: Recorded, process: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> float | None:
    """From the end of the training before the change to the first step after it."""
    again, started = operation.first_step_at, operation.started
    if again is None or started is None or not operation.generation:
        return None
    ends = [seconds_of(event["t"]) for event in before if event["event"] == protocol.STOPPED]
    ended = next((end for end in reversed(ends) if end is not None), None)
    if ended is None and process.get("state") == "running":
        ended = started + operation.parts.get("evidence", 0.0)
    return max(0.0, again - ended) if ended is not None else None
