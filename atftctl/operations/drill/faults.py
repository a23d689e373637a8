"""Make the fault of a drill, as the runbook describes it."""

from __future__ import annotations

from statistics import median

from atftctl.domain.drill_rules import Alarm
from atftctl.domain.errors import Inconclusive
from atftctl.observe.metrics.source import rows_of_run
from atftctl.observe.trainer_run import probes, process
from atftctl.operations.drill.drill import Drill
from atftctl.protocol.messages import joined, tr

PROBE_STEPS = 8  # of a measurement of memory
MARGIN = 0.5  # where the limit lies between the memory of the rolled-back settings and that of the improvements
LEAST_GAP_MB = 40.0
RULE = "drill"  # of the copy's detectors


def make(drill: Drill) -> str:
    """Turn the improvements on, and make everything of the fault that is no environment. Raises Inconclusive where no
    memory limit separates the settings, InterventionNeeded where the fault's command fails."""
    fault = drill.fault
    if fault.alarm:
        _set_alarm(drill, fault.alarm)
    drill.set_features(off=drill.keep_off)
    made = [_limit_memory(drill)] if fault.memory_limit else []
    drill.set_all(fault.settings)
    if fault.command:
        drill.run_command(fault.command)
    return joined("; ", [fault.how.say(drill.project.language), *made])


def _set_alarm(drill: Drill, alarm: Alarm) -> None:
    """Add the rule to the detectors of the copy: above what the column usually was in the healthy run."""
    record = process.read_record(drill.project.layout)
    assert record is not None
    rows = rows_of_run(
        drill.project.layout, (alarm.metric,), record.metrics_since, generation=record.generation,
    )  # fmt: skip
    values = [row.values[alarm.metric] for row in rows.rows if alarm.metric in row.values]
    if not values:
        raise Inconclusive(tr("the healthy run has no values of {metric}", metric=alarm.metric))
    above = round(alarm.times * median(values), 4)
    rule = {"metric": alarm.metric, "above": above, "for": alarm.rows, "symptom": drill.symptom}
    drill.set_rules({("detectors", RULE, key): value for key, value in rule.items()})
    drill.seen["alarm_above"] = above


def _limit_memory(drill: Drill) -> str:
    """Set a memory limit that the improvements exceed and the rolled-back settings do not, from two short runs."""
    book = drill.project.runbook
    high = _probe_memory(drill)
    before = drill.config_files()
    settings = book.symptoms[drill.symptom].settings
    for name, value in settings.items():
        feature = book.feature(name)
        drill.set_all({feature.file: {feature.key: value}})
    drill.set_all(drill.fault.recovered)
    low = _probe_memory(drill)
    for name, content in before.items():
        (drill.root / name).write_bytes(content)
    if high - low < LEAST_GAP_MB:
        raise Inconclusive(
            tr(
                "no memory limit separates the settings here: "
                "{high:.0f} MB with the improvements, {low:.0f} MB rolled back",
                high=high,
                low=low,
            )
        )
    limit = int(low + MARGIN * (high - low))
    drill.set_rules({("trainer", "memory_limit_mb"): limit})
    drill.seen |= {"improved_mb": high, "rolled_back_mb": low, "limit_mb": limit}
    return tr(
        "{high:.0f} MB with the improvements, {low:.0f} MB rolled back and in chunks: the limit is {limit} MB",
        high=high,
        low=low,
        limit=limit,
    )


def _probe_memory(drill: Drill) -> float:
    """Return the memory in MB that training takes for its data, from a few steps."""
    measured = probes.probe(drill.project.layout, drill.project.runbook, "memory", steps=PROBE_STEPS)
    return float(measured["data_mb"])
