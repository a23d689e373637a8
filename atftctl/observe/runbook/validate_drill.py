"""Check what a runbook says about drills."""

from __future__ import annotations

import math

from atftctl.domain.drill_rules import Alarm, Fault, FileSettings
from atftctl.domain.gate import MOST_STEPS
from atftctl.domain.runbook import Runbook
from atftctl.domain.text import nearest
from atftctl.observe.runbook.binder import Binder, Path
from atftctl.observe.runbook.validate_monitoring import check_range
from atftctl.protocol.keys import parse_key
from atftctl.protocol.messages import tr


def check(runbook: Runbook, binder: Binder) -> None:
    """Run these checks. The binder skips what it has reported already."""
    _check_features(runbook, binder, ("drill", "keep_off"), runbook.drill.keep_off)
    _check_settings(runbook, binder, ("drill", "copy"), runbook.drill.copy)
    for name, fault in runbook.drill.faults.items():
        where = ("drill", "faults", name)
        if name not in runbook.symptoms:
            text = tr("there is no symptom {name!r}", name=name)
            binder.problem(where, text, hint=nearest(name, runbook.symptoms))
        _check_fault(runbook, binder, where, fault)


def _check_fault(runbook: Runbook, binder: Binder, where: Path, fault: Fault) -> None:
    for key in ("copy", "settings", "recovered"):
        _check_settings(runbook, binder, (*where, key), getattr(fault, key))
    _check_features(runbook, binder, (*where, "keep_off"), fault.keep_off)
    for name, value in fault.environment.items():
        if not name or "=" in name or "\0" in name + value:
            binder.problem((*where, "environment", name), tr("{name!r} is no name of a variable", name=name))
    if not (fault.settings or fault.environment or fault.command or fault.memory_limit):
        binder.problem(where, tr("nothing makes the fault: settings, environment, command or memory_limit is needed"))
    check_range(binder, (*where, "healthy_steps"), fault.healthy_steps, 1, MOST_STEPS)
    check_range(binder, (*where, "after_steps"), fault.after_steps, 1, MOST_STEPS)
    check_range(binder, (*where, "limit_s"), fault.limit_s, 1, 86_400)
    if fault.alarm:
        _check_alarm(runbook, binder, (*where, "alarm"), fault.alarm)


def _check_alarm(runbook: Runbook, binder: Binder, where: Path, alarm: Alarm) -> None:
    if alarm.metric not in runbook.metrics.columns:
        text = tr("{name} is not in metrics.columns", name=alarm.metric)
        binder.problem((*where, "metric"), text, hint=nearest(alarm.metric, runbook.metrics.columns))
    if not 1 < alarm.times < math.inf:
        binder.problem((*where, "times"), tr("{value} is not a number above 1", value=alarm.times))
    check_range(binder, (*where, "for"), alarm.rows, 1, 100_000)


def _check_settings(runbook: Runbook, binder: Binder, where: Path, settings: FileSettings) -> None:
    """Settings of the copy may be in its configs only."""
    for name, values in settings.items():
        if name not in runbook.files.configs:
            text = tr("{name} is not in files.configs", name=name)
            binder.problem((*where, name), text, hint=nearest(name, runbook.files.configs))
        for key in values:
            try:
                parse_key(key)
            except ValueError as error:
                binder.problem((*where, name, key), str(error))


def _check_features(runbook: Runbook, binder: Binder, where: Path, names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        if name not in runbook.features:
            text = tr("there is no feature {name!r}", name=name)
            binder.problem((*where, index), text, hint=nearest(name, runbook.features))
