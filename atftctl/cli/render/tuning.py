"""Thresholds that past runs propose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atftctl.cli.render.console import say, write_lines
from atftctl.cli.render.result import tone_of
from atftctl.cli.render.tables import show_table
from atftctl.domain.result import Result
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.operations.monitoring.tune import ThresholdLine, ThresholdOutcome


def proposals(result: Result) -> None:
    """A row for each threshold, old and proposed; what is to be said of them; the lines for the runbook."""
    from atftctl.operations.monitoring.tune import TuneData

    data = result.data
    assert isinstance(data, TuneData)
    say(result.headline, tone_of(result.exit_code))
    late = [tr("seen"), tr("delay")] if data.faulty else []
    head = [tr("threshold"), tr("value"), tr("false alarms"), tr("at most"), tr("held out"), *late]
    show_table(head, [_cells(line, data.faulty) for line in data.thresholds])
    for line in result.lines:
        say(line, "quiet", lead="  ", hang=4)
    if data.yaml:
        say()
        say(tr("to use them, put these lines into the runbook:"), "strong")
        write_lines(data.yaml)


def _cells(line: ThresholdLine, faulty: int) -> list[str]:
    """The threshold now and the proposed one; bounds in 10,000 steps."""
    old, new = line.old, line.new
    cells = [
        line.key,
        _change(f"{old.value:g}", f"{new.value:g}"),
        _change(str(old.false_alarms), str(new.false_alarms)),
        f"{line.upper:.2f}",
        f"{line.held_out_upper:.2f}",
    ]
    if not faulty:
        return cells
    return [*cells, _change(f"{old.detected}/{faulty}", f"{new.detected}/{faulty}"), _change(_delay(old), _delay(new))]


def _change(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"


def _delay(outcome: ThresholdOutcome) -> str:
    return "" if outcome.delay is None else f"{outcome.delay:g}"
