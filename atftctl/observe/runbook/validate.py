"""Check a runbook beyond the types of its values. Each check reports every problem to the binder."""

from __future__ import annotations

import os
import re

from atftctl.domain.gate import GATE_CHECKS, MOST_STEPS, Gate
from atftctl.domain.runbook import Runbook, Settings, Value, kind_of, span_s
from atftctl.domain.text import nearest
from atftctl.host.errors import OutsideProjectError, reason
from atftctl.host.files.containment import check_relative
from atftctl.observe.runbook import validate_drill, validate_monitoring, validate_slurm, validate_trainer
from atftctl.observe.runbook.binder import Binder
from atftctl.observe.runbook.validate_monitoring import check_range
from atftctl.protocol.keys import parse_key
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout, is_reserved

COMMAND_EXAMPLE = '["{python}", train.py]'


def check(runbook: Runbook, binder: Binder, layout: Layout) -> None:
    """Run every check. The binder skips what it has reported already."""
    _check_files(runbook, binder, layout)
    _check_outside(runbook, binder)
    _check_namespaces(runbook, binder)
    _check_trainer(runbook, binder)
    _check_features(runbook, binder)
    _check_backups(runbook, binder)
    _check_staged(runbook, binder)
    _check_code(runbook, binder)
    _check_plans(runbook, binder)
    _check_symptoms(runbook, binder)
    validate_trainer.check(runbook, binder)
    validate_slurm.check(runbook, binder)
    validate_monitoring.check(runbook, binder)
    validate_drill.check(runbook, binder)


def _check_files(runbook: Runbook, binder: Binder, layout: Layout) -> None:
    """Check the lists of files. Symlinks are checked later, when a file is used: a wrong symlink of a model must not
    block an operation that does not use the model."""
    if not runbook.files.of(""):
        text = tr("no file is listed, so there is nothing to take a snapshot of")
        binder.problem(
            ("files",), text, hint=tr("list the config files under configs and the checkpoints under models")
        )
    seen: set[str] = set()
    for group in ("configs", "models", "also"):
        for index, name in enumerate(getattr(runbook.files, group)):
            where = ("files", group, index)
            plain = os.path.normpath(name)
            try:
                check_relative(name)
            except OutsideProjectError as error:
                binder.problem(where, error.message)
                continue
            if plain in seen:
                binder.problem(where, tr("{name} is listed twice", name=name))
            if is_reserved(plain):
                binder.problem(
                    where, tr("{name} is a name that atftctl uses itself; a snapshot can't hold it", name=name)
                )
            path = layout.root / plain
            if group == "configs" and not path.is_symlink() and path.exists() and not path.is_file():
                binder.problem(where, tr("{name} is not a file", name=name))
            seen.add(plain)


def _check_namespaces(runbook: Runbook, binder: Binder) -> None:
    for name, key in runbook.files.namespaces.items():
        where = ("files", "namespaces", name)
        if name not in runbook.files.configs:
            hint = nearest(name, runbook.files.configs)
            binder.problem(where, tr("{file} is not in files.configs", file=name), hint=hint)
        try:
            parse_key(key)
        except ValueError as error:
            binder.problem(where, reason(error))


def _check_outside(runbook: Runbook, binder: Binder) -> None:
    for index, name in enumerate(runbook.files.allow_outside):
        if not name.startswith("/") or os.path.normpath(name) == "/":
            where = ("files", "allow_outside", index)
            text = tr("{name!r} is not the full path of a folder, such as /mnt/models", name=name)
            binder.problem(where, text)


def _check_trainer(runbook: Runbook, binder: Binder) -> None:
    if not runbook.trainer.command:
        text = tr("the command that starts the trainer is missing")
        binder.problem(("trainer", "command"), text, hint=tr("as a list of words: {example}", example=COMMAND_EXAMPLE))
    rules = runbook.trainer
    for key, value, most in (
        ("grace_s", rules.grace_s, 86_400),
        ("ready_s", rules.ready_s, 86_400),
        ("memory_limit_mb", rules.memory_limit_mb, 1 << 30),
        ("processes", rules.processes, 1024),
    ):
        check_range(binder, ("trainer", key), value, int(key == "processes"), most)
    if rules.processes > 1 and not rules.launcher:
        binder.problem(("trainer", "processes"), tr("more than one process needs trainer.launcher"))


def _check_backups(runbook: Runbook, binder: Binder) -> None:
    rules, keep = runbook.backups, vars(runbook.backups.keep)
    check_range(binder, ("backups", "recheck_days"), rules.recheck_days, 0, 36_500)
    for name, value in keep.items():
        if name != "within":
            check_range(binder, ("backups", "keep", name), value, 0, 100_000)
    if span_s(rules.keep.within) is None:
        text = tr("{value!r} is not a time span such as 36h, 2d or 1w", value=rules.keep.within)
        binder.problem(("backups", "keep", "within"), text)
    if not any(value for name, value in keep.items() if name != "within"):
        binder.problem(("backups", "keep"), tr("no snapshot would be kept: one of the counts must be over 0"))


def _check_staged(runbook: Runbook, binder: Binder) -> None:
    rules = runbook.staged
    for key, value, most in (
        ("window_steps", rules.window_steps, MOST_STEPS),
        ("window_s", rules.window_s, 86_400),
        ("bisect_steps", rules.bisect_steps, 100_000),
    ):
        check_range(binder, ("staged", key), value, 1, most)
    if not rules.stages or len(set(rules.stages)) != len(rules.stages):
        text = tr("list at least one of table, block and immediate, and each of them once at most")
        binder.problem(("staged", "stages"), text)


def _check_code(runbook: Runbook, binder: Binder) -> None:
    try:
        re.compile(runbook.git.pattern)
    except re.error as error:
        text = tr("{pattern!r} is not a regular expression: {reason}", pattern=runbook.git.pattern, reason=str(error))
        binder.problem(("git", "pattern"), text)
    for group in ("remove", "files"):
        for index, name in enumerate(getattr(runbook.full, group)):
            try:
                check_relative(name)
            except OutsideProjectError as error:
                binder.problem(("full", group, index), error.message)
                continue
            if is_reserved(os.path.normpath(name)) or name in (*runbook.files.configs, *runbook.files.models):
                text = tr("{name} must not be listed here: it is a config, a model or a file of atftctl", name=name)
                binder.problem(("full", group, index), text)


def _check_features(runbook: Runbook, binder: Binder) -> None:
    places: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name, feature in runbook.features.items():
        if feature.file not in runbook.files.configs:
            binder.problem(
                ("features", name, "file"),
                tr("{file} is not in files.configs", file=feature.file),
                hint=nearest(feature.file, runbook.files.configs),
            )
        try:
            parse_key(feature.key)
        except ValueError as error:
            binder.problem(("features", name, "key"), reason(error))
        _check_value(binder, ("features", name, "improved"), feature.improved, feature.baseline)
        for other, place in places.items():
            if place[0] == feature.file and place[1][: len(feature.path)] == feature.path[: len(place[1])]:
                text = tr("{key} is also the key of the feature {other}", key=feature.key, other=other)
                binder.problem(("features", name, "key"), text)
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
            _check_gate(binder, ("plans", name, index, "gate"), phase.gate)
    if runbook.reenable_plan and runbook.reenable_plan not in runbook.plans:
        binder.problem(
            ("reenable_plan",),
            tr("there is no plan {name!r}", name=runbook.reenable_plan),
            hint=nearest(runbook.reenable_plan, runbook.plans),
        )


def _check_gate(binder: Binder, path: tuple[str | int, ...], gate: Gate) -> None:
    check_range(binder, (*path, "steps"), gate.steps, 1, MOST_STEPS)
    check_range(binder, (*path, "window_s"), gate.window_s, 1, 7 * 86_400)
    for at, name in enumerate(gate.checks):
        if name not in GATE_CHECKS:
            hint = nearest(name, GATE_CHECKS)
            if name == "quality":
                hint = tr("ask for it with the key quality: no-worse, or quality: improved")
            text = tr("there is no check {name!r}", name=name)
            binder.problem((*path, "checks", at), text, hint=hint)
        elif name in gate.checks[:at]:
            binder.problem((*path, "checks", at), tr("{name} is listed twice", name=name))


def _check_symptoms(runbook: Runbook, binder: Binder) -> None:
    """Check that each fatal event of the trainer belongs to one symptom only."""
    known: dict[str, str] = {}
    for name, symptom in runbook.symptoms.items():
        if symptom.detector in known and symptom.detector in ("out-of-memory", "anomaly"):
            binder.problem(
                ("symptoms", name, "detector"),
                tr(
                    "{detector} is already the detector of the symptom {other}",
                    detector=symptom.detector,
                    other=known[symptom.detector],
                ),
            )
        known.setdefault(symptom.detector, name)


def _check_settings(runbook: Runbook, binder: Binder, path: tuple[str | int, ...], settings: Settings) -> None:
    for name, value in settings.items():
        if name not in runbook.features:
            _unknown_feature(binder, (*path, name), name, runbook)
            continue
        _check_value(binder, (*path, name), value, runbook.features[name].baseline)


def _check_value(binder: Binder, path: tuple[str | int, ...], value: Value, example: Value) -> None:
    """Check that a setting has the type of its baseline, as `config set` does too."""
    if kind_of(value) != kind_of(example):
        text = tr(
            "{value} is not {type}, as the baseline {example} is",
            value=repr(value),
            type=kind_of(example),
            example=repr(example),
        )
        binder.problem(path, text)


def _unknown_feature(binder: Binder, path: tuple[str | int, ...], name: str, runbook: Runbook) -> None:
    binder.problem(path, tr("there is no feature {name!r}", name=name), hint=nearest(name, runbook.features))
