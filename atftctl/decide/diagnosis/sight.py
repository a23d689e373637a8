"""Can the metrics of the trainer be relied on? What they say counts only where they are there, whole, of this run and
not old."""

from __future__ import annotations

from atftctl.decide.detectors import hang
from atftctl.decide.diagnosis import detected as metrics
from atftctl.domain.diagnosis import Observed
from atftctl.protocol.messages import Message, tr, trn

SLACK_S = 60.0  # that the clock of a file server may differ from ours
TORN = 0.1  # of the rows: more torn ones than this, and nothing is said of the rest
BUSY = ("start", "evaluate", "save", "reload")  # sections in which no rows are written


def blind(seen: Observed, found: metrics.Detected, ready_s: float) -> Message | str:
    """Why a watcher can't see whether the trainer is well; "" where it can. ready_s: the seconds in which the trainer
    must reach its first step."""
    process = seen.process
    if process.state == "never started":
        return tr("atftctl has not started a trainer here")
    if process.where:
        return tr("the trainer was started on {host}; its state can't be seen from here", host=process.where)
    if not process.alive:
        return ""  # its end is seen without metrics
    starting = process.section == "start" or (not process.section and seen.now - (seen.started or 0.0) < ready_s)
    if not seen.rows.rows and starting and not (seen.rows.problem or seen.rows.later or process.silent_s is not None):
        return ""
    if process.silent_s is not None and not (seen.rows.problem or seen.rows.later):
        return ""  # it hangs, as its own heartbeat says: no rows are to be expected
    why = unreliable(seen, found)
    return why[0] if why else ""


def unreliable(seen: Observed, found: metrics.Detected) -> list[Message | str]:
    """What is wrong with the metrics: missing, of another generation, old, from the future, torn."""
    rows = seen.rows
    if rows.problem:
        return [tr("the metrics can't be read: {reason}", reason=rows.problem)]
    why = list[Message | str]()
    if rows.later:
        why.append(
            trn(
                "{count} row of the metrics is of a newer trainer",
                "{count} rows of the metrics are of a newer trainer",
                rows.later,
            )
        )
    if rows.torn > TORN * max(1, len(rows.rows)):
        why.append(trn("{count} line of the metrics is torn", "{count} lines of the metrics are torn", rows.torn))
    if not rows.rows:
        if not rows.earlier:
            return [*why, tr("no metrics of this run")]
        return [*why, tr("no metrics of this run; rows of earlier ones that were left out: {rows}", rows=rows.earlier)]
    return why + _wrong_time(seen, found)


def _wrong_time(seen: Observed, found: metrics.Detected) -> list[Message | str]:
    written = seen.rows.written
    if written is not None and written > seen.now + SLACK_S:
        ahead = written - seen.now
        return [tr("the metrics were written {seconds:.0f} s in the future: a clock is wrong", seconds=ahead)]
    if (age := _age(seen, found)) is not None:
        return [tr("the newest row of the metrics is {seconds:.0f} s old, and the trainer runs", seconds=age)]
    return []


def _age(seen: Observed, found: metrics.Detected) -> float | None:
    """How old the newest row is, where the trainer should have written another one since."""
    if not seen.process.alive or seen.process.section in BUSY or seen.rows.written is None:
        return None
    steps = metrics.distance(seen.rows.rows[-metrics.SAMPLE :])  # a row of several steps takes as many times as long
    seconds = [steps * second for second in (*found.state.time.first, *found.state.time.recent)]
    limit = hang.step_limit_s(seconds, found.rules.limits.hang_s)
    return hang.silent_s(now=seen.now, last=seen.rows.written, limit_s=limit)
