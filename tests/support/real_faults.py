"""Faults put into the metrics that the real trainer wrote, and what the detectors and the diagnosis say of them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atftctl import protocol
from atftctl.decide.detectors import bank, spike, step_time
from atftctl.decide.detectors.loss_curve import CurveMaker
from atftctl.decide.detectors.slow import Curve
from atftctl.decide.diagnosis import judge
from atftctl.decide.diagnosis.causes import symptom_of
from atftctl.decide.diagnosis.detected import detect
from atftctl.domain.diagnosis import Diagnosis, Observed
from atftctl.domain.facts import Process
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import Logs
from atftctl.domain.log_lines.signatures import wanted
from atftctl.domain.run_rows import Row, RunRows
from atftctl.domain.runbook import Runbook
from atftctl.protocol import TrainerExit

NOW = 1_796_000_000.0
QUIET = {spike.NAME, step_time.NAME}  # they speak for no cause
MATCHER = Matcher(wanted(Logs()))
LEAK_MB = 2.0  # a step
SLOWER = 0.2  # of the speed at which the baseline learns

# By fault: what it must be recognised as, a symptom of the runbook or `killed`, and within how many rows.
FAULTS: dict[str, tuple[str, int]] = {
    "nan": ("divergence", 1),
    "times-1.1": ("divergence", 20),
    "plus-50": ("divergence", 25),
    "leak": ("memory-leak", 400),
    "late-leak": ("memory-leak", 400),
    "slower": ("slow-convergence", 1000),
    "oom": ("oom", 0),
    "killed": ("killed", 0),
}
EVENTS = ("oom", "killed")  # which end the run


@dataclass
class Faulty:
    """A run with a fault. `begin`: the step of its first row that is wrong; of an event, the one after the last row."""

    kind: str
    begin: int
    rows: list[Row]
    events: tuple[dict[str, Any], ...] = ()


def inject(kind: str, rows: Sequence[Row], begin: int, rules: bank.Rules) -> Faulty:
    """The run with this fault from this step on."""
    if kind in EVENTS:
        return Faulty(kind, begin, [row for row in rows if row.step < begin], _last_events(kind, begin))
    curve = curve_of_rows(rows, rules.loss)
    return Faulty(kind, begin, [_with(kind, row, begin, rules, curve) for row in rows])


def _with(kind: str, row: Row, begin: int, rules: bank.Rules, curve: Curve) -> Row:
    since, values = row.step - begin, dict(row.values)
    if since < 0:
        return row
    match kind:
        case "nan":
            values[rules.loss] = math.nan
        case "times-1.1":
            values[rules.loss] *= 1.1 ** (since + 1)
        case "plus-50":
            values[rules.loss] *= 1.5
        case "leak" | "late-leak":
            values[rules.memory] += LEAK_MB * (since + 1)
        case "slower":
            earlier, here = curve.at(max(1, round(begin + SLOWER * since))), curve.at(row.step)
            values[rules.loss] += earlier - here if earlier is not None and here is not None else 0.0
    return row._replace(values=values)


def _last_events(kind: str, step: int) -> tuple[dict[str, Any], ...]:
    common = {"t": NOW - 5, "run_id": "r", "step": step}
    if kind == "killed":
        return ({"event": protocol.CHECKPOINT, "path": "models/last.pth", **common},)
    message = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 24576 bytes."
    return (
        {"event": protocol.OOM, "message": message, "section": "step", "recoverable": False, **common},
        {"event": protocol.STOPPED, "exit_code": TrainerExit.OUT_OF_MEMORY, "reason": message, **common},
    )


def curve_of_rows(rows: Sequence[Row], column: str) -> Curve:
    """The loss curve of a run, as a baseline keeps it."""
    maker = CurveMaker()
    for row in rows:
        if (value := row.values.get(column)) is not None:
            maker.take(row.step, value)
    return maker.curve()


@dataclass
class Recognised:
    """What was said of a fault. `name`: the symptom of the runbook, `killed`, or "" where nothing was. `rows`: from the
    beginning of the fault until then. `before`: alarms before the fault."""

    name: str
    rows: int | None
    confidence: str = ""
    before: int = 0


def recognise(fault: Faulty, rules: bank.Rules, runbook: Runbook) -> Recognised:
    """What is said at the first alarm after the beginning of the fault; for a fault that ends the run, at its end."""
    state, before = bank.State(), 0
    for place, row in enumerate(fault.rows):
        state, findings = bank.take(rules, state, row)
        if not any(finding.detector not in QUIET for finding in findings):
            continue
        if row.step < fault.begin:
            before += 1
            continue
        diagnosis = diagnose(fault.rows[: place + 1], rules)
        if diagnosis.main is not None:
            name = symptom_of(runbook, diagnosis.main.cause) or diagnosis.main.cause
            return Recognised(name, row.step - fault.begin + 1, diagnosis.main.confidence, before)
    if fault.events:
        diagnosis = diagnose(fault.rows, rules, fault.events, died=True)
        if diagnosis.main is not None:
            name = symptom_of(runbook, diagnosis.main.cause) or diagnosis.main.cause
            return Recognised(name, 0, diagnosis.main.confidence, before)
        died = any("the trainer has died" in text for text in diagnosis.unknown)
        return Recognised("killed" if died else "", 0, "", before)
    return Recognised("", None, "", before)


def diagnose(
    rows: Sequence[Row], rules: bank.Rules, events: tuple[dict[str, Any], ...] = (), *, died: bool = False
) -> Diagnosis:
    """The diagnosis of a trainer that runs, or has died, with these rows."""
    columns = ("step", *rows[-1].values)
    last = {"event": protocol.CHECKPOINT, "step": rows[-1].step, "t": NOW - 5}
    alive = Process(state="running", pid=7, run_id="r", generation=1, section="step", step=rows[-1].step)
    process = Process(state="died", run_id="r", generation=1, last_event=events[-1] if events else last)
    seen = Observed(
        NOW, process if died else alive, pid=7, wanted="running", events=events, killed=False,
        rows=RunRows(tuple(rows), len(rows), columns=columns, written=NOW - 1),
    )  # fmt: skip
    return judge.judge(seen, detect(rules, seen.rows), MATCHER)


def place_of(kind: str, rows: Sequence[Row], chance: random.Random) -> int:
    """A step at which the fault may begin: with enough rows before it to know what is usual, and enough after it. A
    leak and a slow convergence are there from the start."""
    if kind in ("leak", "slower"):
        return rows[0].step
    if kind == "late-leak":
        return chance.randint(rows[200].step, rows[500].step)
    return chance.randint(rows[100].step, rows[-50].step)
