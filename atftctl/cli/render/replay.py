"""What the detectors would have said on past runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from atftctl.cli.render.console import say
from atftctl.cli.render.result import tone_of
from atftctl.cli.render.tables import show_table
from atftctl.domain.result import Result
from atftctl.protocol.messages import tr, trn

if TYPE_CHECKING:
    from atftctl.operations.monitoring.replay import DetectorLine

SHOWN = 10  # alarms
UNJUDGED = "–"  # where a detector has judged no value


def replay(result: Result) -> None:
    """A row for each detector; on a terminal, the first alarms, too. In a pipe, the rows alone."""
    from atftctl.operations.monitoring.replay import ReplayData

    data = result.data
    assert isinstance(data, ReplayData)
    terminal = sys.stdout.isatty()
    if terminal:
        say(result.headline, tone_of(result.exit_code))
    late = [tr("seen"), tr("delay")] if data.faulty else []
    head = [tr("detector"), tr("false alarms"), tr("in 10,000"), tr("at most"), *late]
    show_table(head, [_cells(line, data.faulty) for line in data.detectors])
    if not terminal:
        return
    for alarm in data.alarms[:SHOWN]:
        say(tr("{file}: {text}", file=alarm.file, text=alarm.text), "quiet", lead="  ", hang=4)
    if (more := len(data.alarms) - SHOWN) > 0:
        say(trn("{count} more alarm: --json", "{count} more alarms: --json", more), "quiet", lead="  ")
    for line in result.lines:
        say(line, "quiet", lead="  ")
    if data.torn:
        say(trn("{count} line is no row", "{count} lines are no rows", data.torn), "warn", lead="  ")


def _cells(line: DetectorLine, faulty: int) -> list[str]:
    rates = [f"{rate:.2f}" if rate is not None else UNJUDGED for rate in (line.rate, line.upper)]
    cells = [line.name, str(line.false_alarms) if line.judged else UNJUDGED, *rates]
    if not faulty:
        return cells
    delay = f"{line.delay:g} / {line.worst}" if line.delay is not None else ""
    return [*cells, f"{line.detected}/{faulty}", delay]
