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
    from atftctl.operations.monitoring.replay import ActsLine, DetectorLine

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
    rows = [_cells(line, data.faulty) for line in data.detectors]
    show_table(head, [*rows, _acts(data.acts, data.faulty)])
    if not terminal:
        return
    _proof(data.acts)
    for alarm in data.alarms[:SHOWN]:
        say(tr("{file}: {text}", file=alarm.file, text=alarm.text), "quiet", lead="  ", hang=4)
    if (more := len(data.alarms) - SHOWN) > 0:
        say(trn("{count} more alarm: --json", "{count} more alarms: --json", more), "quiet", lead="  ")
    for line in result.lines:
        say(line, "quiet", lead="  ")
    if data.torn:
        say(trn("{count} line is no row", "{count} lines are no rows", data.torn), "warn", lead="  ")


def _acts(acts: ActsLine, faulty: int) -> list[str]:
    """The row of what the watcher would have done."""
    rate = 1e4 * acts.false_acts / acts.steps if acts.steps else None
    figures = [f"{each:.2f}" if each is not None else UNJUDGED for each in (rate, acts.upper)]
    cells = [tr("(rollback)"), str(acts.false_acts) if acts.steps else UNJUDGED, *figures]
    if not faulty:
        return cells
    delay = f"{acts.delay:g} / {acts.worst}" if acts.delay is not None else ""
    return [*cells, f"{acts.acted}/{faulty}", delay]


def _proof(acts: ActsLine) -> None:
    """What this service's own runs have shown so far."""
    for note in acts.notes:
        say(note, "quiet", lead="  ", hang=4)
    if not acts.own_steps:
        return
    text = tr("shown on this service's own runs: {steps:,} healthy steps, {acts} false rollbacks",
              steps=acts.own_steps, acts=acts.own_false_acts)  # fmt: skip
    say(text, lead="  ", hang=4)
    if acts.missing:
        text = trn("{count} more healthy step is needed for: atftctl watch --auto",
                   "{count} more healthy steps are needed for: atftctl watch --auto", acts.missing)  # fmt: skip
        say(text, lead="  ", hang=4)
    else:
        say(tr("this is enough for: atftctl watch --auto"), "good", lead="  ", hang=4)


def _cells(line: DetectorLine, faulty: int) -> list[str]:
    rates = [f"{rate:.2f}" if rate is not None else UNJUDGED for rate in (line.rate, line.upper)]
    cells = [line.name, str(line.false_alarms) if line.judged else UNJUDGED, *rates]
    if not faulty:
        return cells
    delay = f"{line.delay:g} / {line.worst}" if line.delay is not None else ""
    return [*cells, f"{line.detected}/{faulty}", delay]
