"""What must hold in a runbook beyond the types of its values. Each check tells the binder of all that it finds."""

from __future__ import annotations

import os
import re

from atftctl.domain.runbook import Runbook, Settings, Value, kind_of, span_s
from atftctl.domain.text import nearest
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files.containment import check_relative
from atftctl.observe.runbook.binder import Binder
from atftctl.protocol.keys import parse_key
from atftctl.state.layout import Layout, is_reserved


def check(runbook: Runbook, binder: Binder, layout: Layout) -> None:
    """All of them. The binder passes over what it has told of already."""
    _check_files(runbook, binder, layout)
    _check_outside(runbook, binder)
    _check_trainer(runbook, binder)
    _check_features(runbook, binder)
    _check_backups(runbook, binder)
    _check_staged(runbook, binder)
    _check_code(runbook, binder)
    _check_plans(runbook, binder)
    _check_symptoms(runbook, binder)


def _check_files(runbook: Runbook, binder: Binder, layout: Layout) -> None:
    """Where a file's symlinks lead is looked at when it is touched: a model must not block what leaves it alone."""
    seen: set[str] = set()
    for group in ("configs", "models", "also"):
        for index, name in enumerate(getattr(runbook.files, group)):
            where = ("files", group, index)
            plain = os.path.normpath(name)
            try:
                check_relative(name)
            except OutsideProjectError as error:
                binder.problem(where, str(error))
                continue
            if plain in seen:
                binder.problem(where, f"{name} is listed twice")
            if is_reserved(plain):
                binder.problem(where, f"{name} is the tool's own name; a snapshot can't hold it")
            path = layout.root / plain
            if group == "configs" and not path.is_symlink() and path.exists() and not path.is_file():
                binder.problem(where, f"{name} is not a file")
            seen.add(plain)


def _check_outside(runbook: Runbook, binder: Binder) -> None:
    for index, name in enumerate(runbook.files.allow_outside):
        if not name.startswith("/") or os.path.normpath(name) == "/":
            where = ("files", "allow_outside", index)
            binder.problem(where, f"{name!r} is no folder by its full path, such as /mnt/models")


def _check_trainer(runbook: Runbook, binder: Binder) -> None:
    if not runbook.trainer.command or not runbook.trainer.probe:
        binder.problem(("trainer",), "command and probe need at least one word each")
    rules = runbook.trainer
    for key, value, most in (
        ("grace_s", rules.grace_s, 86_400),
        ("ready_s", rules.ready_s, 86_400),
        ("memory_limit_mb", rules.memory_limit_mb, 1 << 30),
        ("processes", rules.processes, 1024),
    ):
        least = int(key == "processes")
        if not least <= value <= most:  # not NaN either
            binder.problem(("trainer", key), f"{value} is out of its range, {least} to {most}")
    if rules.processes > 1 and not rules.launcher:
        binder.problem(("trainer", "processes"), "more than one process needs trainer.launcher")


def _check_backups(runbook: Runbook, binder: Binder) -> None:
    rules, keep = runbook.backups, vars(runbook.backups.keep)
    if not 0 <= rules.recheck_days <= 36_500:
        binder.problem(("backups", "recheck_days"), f"{rules.recheck_days} is out of its range, 0 to 36500")
    for name, value in keep.items():
        if name != "within" and not 0 <= value <= 100_000:
            binder.problem(("backups", "keep", name), f"{value} is out of its range, 0 to 100000")
    if span_s(rules.keep.within) is None:
        binder.problem(("backups", "keep", "within"), f"{rules.keep.within!r} is no span such as 36h, 2d or 1w")
    if not any(value for name, value in keep.items() if name != "within"):
        binder.problem(("backups", "keep"), "nothing would be kept: one of the counts must be over 0")


def _check_staged(runbook: Runbook, binder: Binder) -> None:
    rules = runbook.staged
    for key, value, most in (
        ("window_steps", rules.window_steps, 1_000_000),
        ("window_s", rules.window_s, 86_400),
        ("bisect_steps", rules.bisect_steps, 100_000),
    ):
        if not 1 <= value <= most:
            binder.problem(("staged", key), f"{value} is out of its range, 1 to {most}")
    if not rules.stages or len(set(rules.stages)) != len(rules.stages):
        binder.problem(("staged", "stages"), "each of table, block, immediate once, and at least one")


def _check_code(runbook: Runbook, binder: Binder) -> None:
    try:
        re.compile(runbook.git.pattern)
    except re.error as error:
        binder.problem(("git", "pattern"), f"{runbook.git.pattern!r} is no pattern: {error}")
    for group in ("remove", "files"):
        for index, name in enumerate(getattr(runbook.full, group)):
            try:
                check_relative(name)
            except OutsideProjectError as error:
                binder.problem(("full", group, index), str(error))
                continue
            if is_reserved(os.path.normpath(name)) or name in (*runbook.files.configs, *runbook.files.models):
                binder.problem(("full", group, index), f"{name} is not to be taken out")


def _check_features(runbook: Runbook, binder: Binder) -> None:
    places: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name, feature in runbook.features.items():
        if feature.file not in runbook.files.configs:
            binder.problem(
                ("features", name, "file"),
                f"{feature.file} is not in files.configs",
                hint=nearest(feature.file, runbook.files.configs),
            )
        try:
            parse_key(feature.key)
        except ValueError as error:
            binder.problem(("features", name, "key"), str(error))
        _check_value(binder, ("features", name, "improved"), feature.improved, feature.baseline)
        for other, place in places.items():
            if place[0] == feature.file and place[1][: len(feature.path)] == feature.path[: len(place[1])]:
                binder.problem(("features", name, "key"), f"{feature.key} is also what {other} sets")
        places[name] = (feature.file, feature.path)


def _check_plans(runbook: Runbook, binder: Binder) -> None:
    _check_settings(runbook, binder, ("immediate", "settings"), runbook.immediate.settings)
    for name, symptom in runbook.symptoms.items():
        _check_settings(runbook, binder, ("symptoms", name, "table"), symptom.table)
        _check_settings(runbook, binder, ("symptoms", name, "block"), symptom.block)
        for index, settings in enumerate(symptom.alternatives):
            _check_settings(runbook, binder, ("symptoms", name, "alternatives", index), settings)
    for name, phases in runbook.plans.items():
        for index, phase in enumerate(phases):
            _check_settings(runbook, binder, ("plans", name, index, "settings"), phase.settings)
    if runbook.reenable_plan not in runbook.plans:
        binder.problem(
            ("reenable_plan",),
            f"no plan {runbook.reenable_plan!r}",
            hint=nearest(runbook.reenable_plan, runbook.plans),
        )


def _check_symptoms(runbook: Runbook, binder: Binder) -> None:
    """A fatal event of the trainer must name one symptom."""
    known: dict[str, str] = {}
    for name, symptom in runbook.symptoms.items():
        if symptom.detector in known and symptom.detector in ("out-of-memory", "anomaly"):
            binder.problem(
                ("symptoms", name, "detector"),
                f"{symptom.detector} is the detector of {known[symptom.detector]} already",
            )
        known.setdefault(symptom.detector, name)
    for index, feature in enumerate(runbook.drill.keep_off):
        if feature not in runbook.features:
            binder.problem(("drill", "keep_off", index), "no such feature", hint=nearest(feature, runbook.features))


def _check_settings(runbook: Runbook, binder: Binder, path: tuple[str | int, ...], settings: Settings) -> None:
    for name, value in settings.items():
        if name not in runbook.features:
            binder.problem((*path, name), "no such feature", hint=nearest(name, runbook.features))
            continue
        _check_value(binder, (*path, name), value, runbook.features[name].baseline)


def _check_value(binder: Binder, path: tuple[str | int, ...], value: Value, example: Value) -> None:
    """A setting keeps its kind, as `config set` has it too."""
    if kind_of(value) != kind_of(example):
        binder.problem(path, f"{value!r} is not {kind_of(example)}, as the baseline {example!r} is")
