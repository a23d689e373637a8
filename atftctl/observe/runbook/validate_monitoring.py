"""Check what a runbook says about metrics, detectors, logs, tolerances and checkpoints."""

from __future__ import annotations

import math
import os
from typing import get_args

from atftctl.domain.checkpoint import LEAST_STEPS
from atftctl.domain.detector_rules import DETECTORS, RANGES
from atftctl.domain.log_lines import rules as log_rules
from atftctl.domain.metric_rules import LEAST_DATES, Metrics
from atftctl.domain.runbook import Detector, Runbook
from atftctl.domain.text import nearest
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files.containment import check_relative
from atftctl.observe.runbook.binder import Binder
from atftctl.protocol.messages import tr
from atftctl.state.layout import is_reserved


def check(runbook: Runbook, binder: Binder) -> None:
    """Run these checks. The binder skips what it has reported already."""
    _check_metrics(runbook, binder)
    _check_detectors(runbook, binder)
    _check_detection(runbook, binder)
    _check_logs(runbook, binder)
    _check_tolerances(runbook, binder)
    _check_checkpoints(runbook, binder)
    _check_routes(runbook, binder)
    _check_acting(runbook, binder)


def _check_metrics(runbook: Runbook, binder: Binder) -> None:
    rules = runbook.metrics
    _check_metrics_files(rules, binder)
    for role in ("quality", "loss", "memory", "step_time", "gradient"):
        name = getattr(rules, role)
        if name and name not in rules.columns:
            text = tr("{name} is not in metrics.columns", name=name)
            binder.problem(("metrics", role), text, hint=nearest(name, rules.columns))
    if rules.quality in rules.columns and not rules.columns[rules.quality].better:
        text = tr("say which direction is better: higher or lower")
        binder.problem(("metrics", "columns", rules.quality, "better"), text, at=("metrics", "columns", rules.quality))


def _check_metrics_files(rules: Metrics, binder: Binder) -> None:
    if not rules.files:
        binder.problem(("metrics", "files"), tr("name at least one file"))
    for number, path in enumerate(rules.files):
        try:
            check_relative(path)
        except OutsideProjectError as error:
            binder.problem(("metrics", "files", number), error.message)
            continue
        if is_reserved(path):
            text = tr("{path!r} belongs to atftctl or to git", path=path)
            binder.problem(("metrics", "files", number), text)
    if not rules.step.strip():
        binder.problem(("metrics", "step"), tr("name the column with the training step"))


def _check_detectors(runbook: Runbook, binder: Binder) -> None:
    for name, rule in runbook.detectors.items():
        where = ("detectors", name)
        if not log_rules.is_name(name) or name in DETECTORS:
            text = tr("{name!r} is no name: letters, digits, - and _, at most 40 of them", name=name)
            if name in DETECTORS:
                text = tr("{name} is a detector that atftctl has already", name=name)
            binder.problem(where, text)
        if rule.metric not in runbook.metrics.columns:
            text = tr("{name} is not in metrics.columns", name=rule.metric)
            binder.problem((*where, "metric"), text, hint=nearest(rule.metric, runbook.metrics.columns))
        limits = [limit for limit in (rule.above, rule.below) if limit is not None]
        if not limits or not all(map(math.isfinite, limits)):
            binder.problem(where, tr("a number is missing: above, below or both"))
        if rule.symptom and rule.symptom not in runbook.symptoms:
            text = tr("there is no symptom {name!r}", name=rule.symptom)
            binder.problem((*where, "symptom"), text, hint=nearest(rule.symptom, runbook.symptoms))
        check_range(binder, (*where, "for"), rule.rows, 1, 100_000)


def _check_detection(runbook: Runbook, binder: Binder) -> None:
    for name, (least, most) in RANGES.items():
        check_range(binder, ("detection", name), getattr(runbook.detection, name), least, most)


def _check_logs(runbook: Runbook, binder: Binder) -> None:
    for index, name in enumerate(runbook.logs.files):
        try:
            check_relative(name)
        except OutsideProjectError as error:
            binder.problem(("logs", "files", index), error.message)
    seen: set[str] = set()
    for index, kind in enumerate(runbook.logs.errors):
        where = ("logs", "errors", index)
        if not log_rules.is_name(kind.name):
            text = tr("{name!r} is no name: letters, digits, - and _, at most 40 of them", name=kind.name)
            binder.problem((*where, "name"), text)
        elif kind.name in seen:
            binder.problem((*where, "name"), tr("{name} is listed twice", name=kind.name))
        if why := log_rules.problem(kind.pattern):
            binder.problem((*where, "pattern"), why)
        speaks_for = (*runbook.symptoms, *get_args(Detector))
        if kind.symptom not in speaks_for:
            text = tr("there is no symptom {name!r}", name=kind.symptom)
            binder.problem((*where, "symptom"), text, hint=nearest(kind.symptom, speaks_for))
        seen.add(kind.name)


def _check_tolerances(runbook: Runbook, binder: Binder) -> None:
    rules = runbook.checks
    if not 0 < rules.quality_margin < math.inf:
        text = tr("{value} is not a number above 0", value=rules.quality_margin)
        binder.problem(("checks", "quality_margin"), text)
    check_range(binder, ("checks", "quality_min_dates"), rules.quality_min_dates, LEAST_DATES, 100_000)
    if rules.quality_min_pairs:
        check_range(binder, ("checks", "quality_min_pairs"), rules.quality_min_pairs, LEAST_DATES, 10_000_000)
    check_range(binder, ("checks", "quality_min_evaluations"), rules.quality_min_evaluations, 3, 1000)


def _check_checkpoints(runbook: Runbook, binder: Binder) -> None:
    rules = runbook.checkpoints
    for key in ("last", "best", "history"):
        name = getattr(rules, key)
        try:
            check_relative(name)
        except OutsideProjectError as error:
            binder.problem(("checkpoints", key), error.message)
            continue
        if is_reserved(os.path.normpath(name)) or name in runbook.files.configs:
            binder.problem(("checkpoints", key), tr("{name} holds no checkpoints", name=name))
    check_range(binder, ("checkpoints", "steps"), rules.steps, LEAST_STEPS, 10_000)
    check_range(binder, ("checkpoints", "limit_s"), rules.limit_s, 1, 3600)
    remedies = [
        (("symptoms", name), symptom.resume, symptom.resume_grade) for name, symptom in runbook.symptoms.items()
    ]
    immediate = (("immediate",), runbook.immediate.resume, runbook.immediate.resume_grade)
    for where, resume, grade in (*remedies, immediate):
        if grade and resume == "scratch":
            text = tr("a start from new weights has no checkpoint; leave the grade out, or resume from last or best")
            binder.problem((*where, "resume_grade"), text)


def _check_routes(runbook: Runbook, binder: Binder) -> None:
    """Check that each route names the variable that holds its address, and not the address. Its text is never shown: it
    may be a secret."""
    hint = tr("write url: env:NAME here, and set the environment variable NAME to the address")
    for name, route in runbook.routes.items():
        where = ("routes", name)
        if not log_rules.is_name(name):
            text = tr("{name!r} is no name: letters, digits, - and _, at most 40 of them", name=name)
            binder.problem(where, text)
        if route.variable:
            continue
        text = tr("this does not name an environment variable")
        if "://" in route.url:
            text = tr("an address does not belong in the runbook: it holds a password or a token, which everybody sees "
                      "who can read the file")  # fmt: skip
        binder.problem((*where, "url"), text, hint=hint)


def _check_acting(runbook: Runbook, binder: Binder) -> None:
    rules = runbook.acting
    check_range(binder, ("acting", "rollbacks"), rules.rollbacks, 1, 20)
    check_range(binder, ("acting", "cool_down_s"), rules.cool_down_s, 0, 86_400)
    check_range(binder, ("acting", "healthy_steps"), rules.healthy_steps, 1, 100_000)
    check_range(binder, ("acting", "within_s"), rules.within_s, 1, 86_400)


def check_range(binder: Binder, path: tuple[str | int, ...], value: float, least: float, most: float) -> None:
    """Report a number that is out of its range."""
    if not least <= value <= most:  # NaN is out of range too
        text = tr("{value} is out of its range, {least:g} to {most:g}", value=value, least=least, most=most)
        binder.problem(path, text)
