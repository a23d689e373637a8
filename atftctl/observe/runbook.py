"""Finding the project and reading its runbook. A wrong one is refused before anything has changed."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from atftctl.domain.errors import Refused, WrongUsage
from atftctl.domain.runbook import Runbook, Settings, Symptom, Value, kind_of, span_s
from atftctl.domain.words import nearest
from atftctl.host.errors import OutsideProjectError, YamlError
from atftctl.host.files import inside
from atftctl.host.layout import OURS, OWN, Layout
from atftctl.host.yaml_read import read
from atftctl.observe.binding import Binder

VERSION = 1


def find_project(start: Path, *, rescue: bool = False) -> Layout:
    """The nearest folder from `start` upwards that holds `runbooks/*.yaml`.

    For a rescue any number of runbooks will do, and none at all where our own folder is there.
    """
    start = start.absolute()
    if not start.is_dir():
        raise WrongUsage(f"{start} is not a folder")
    for folder in (start, *start.parents):
        found = sorted(path for path in (folder / "runbooks").glob("*.yaml") if not path.name.startswith("."))
        if not found and rescue and (folder / ".atftctl").is_dir():
            return Layout(root=folder, runbook=folder / "runbooks" / "none.yaml")
        if len(found) > 1 and not rescue:
            names = ", ".join(path.name for path in found)
            raise WrongUsage(
                f"{folder / 'runbooks'} holds {len(found)} runbooks: {names}", then="keep one of them there"
            )
        if found:
            return Layout(root=folder, runbook=found[0])
    raise WrongUsage(
        f"no project at {start} or above: no runbooks/*.yaml",
        then="cd into the project, or name it: --project DIR",
    )


def load(layout: Layout) -> tuple[Runbook, tuple[str, ...]]:
    """The runbook and warnings about it. Raises Refused with file, line, key and the nearest valid name."""
    name = str(layout.runbook.relative_to(layout.root))
    warnings = _check_owner(layout.runbook, name)
    try:
        data = layout.runbook.read_bytes()
    except OSError as error:
        raise Refused(f"{name} can't be read: {error.strerror}") from None
    return parse(layout, data), warnings


def parse(layout: Layout, data: bytes) -> Runbook:
    """A runbook's text. Raises Refused."""
    name = str(layout.runbook.relative_to(layout.root))
    try:
        document = read(data)
    except YamlError as error:
        raise Refused(
            f"{name}:{error.line or 1}: {error.reason}", then="undo, recover and restore work even so"
        ) from None
    binder = Binder(document, name)
    if isinstance(document.value, dict) and document.value.get("version") != VERSION:
        raise binder.fail(("version",), f"this atftctl reads version {VERSION}")
    runbook = binder.bind(Runbook)
    _check_files(runbook, binder, layout)
    _check_trainer(runbook, binder)
    _check_features(runbook, binder)
    _check_backups(runbook, binder)
    _check_staged(runbook, binder)
    _check_code(runbook, binder, layout)
    _check_plans(runbook, binder)
    return runbook


def _check_owner(path: Path, name: str) -> tuple[str, ...]:
    """A runbook names commands; one that somebody else could have written is not executed."""
    try:
        facts = path.stat()
    except OSError as error:
        raise Refused(f"{name} can't be read: {error.strerror}") from None
    if facts.st_uid not in (os.getuid(), 0):
        raise Refused(
            f"{name} belongs to another user (uid {facts.st_uid}); its commands are not run",
            then=f"look at it, then chown it: {path}",
        )
    if facts.st_mode & stat.S_IWOTH:
        raise Refused(f"{name} is writable by everyone; its commands are not run", then=f"chmod o-w {path}")
    if facts.st_mode & stat.S_IWGRP:
        return (f"{name} is writable by its group",)
    return ()


def _check_files(runbook: Runbook, binder: Binder, layout: Layout) -> None:
    seen: set[Path] = set()
    for group in ("configs", "models", "also"):
        for index, name in enumerate(getattr(runbook.files, group)):
            where = ("files", group, index)
            try:
                path = inside(layout.root, name)
            except OutsideProjectError as error:
                raise binder.fail(where, str(error)) from None
            if path in seen:
                raise binder.fail(where, f"{name} is listed twice")
            if path.is_relative_to(layout.root) and _ours(path.relative_to(layout.root)):
                raise binder.fail(where, f"{name} is the tool's own name; a snapshot can't hold it")
            if group == "configs" and os.path.lexists(path) and not path.is_file():
                raise binder.fail(where, f"{name} is not a file")
            seen.add(path)


def _ours(path: Path) -> bool:
    """Of the tool, or of git, or a name that a snapshot keeps for itself."""
    return path.parts[:1] in [(name,) for name in OURS] or str(path) in OWN


def _check_trainer(runbook: Runbook, binder: Binder) -> None:
    if not runbook.trainer.command or not runbook.trainer.probe:
        raise binder.fail(("trainer",), "command and probe need at least one word each")
    rules = runbook.trainer
    for key, value, most in (
        ("grace_s", rules.grace_s, 86_400),
        ("ready_s", rules.ready_s, 86_400),
        ("memory_limit_mb", rules.memory_limit_mb, 1 << 30),
        ("processes", rules.processes, 1024),
    ):
        least = int(key == "processes")
        if not least <= value <= most:  # not NaN either
            raise binder.fail(("trainer", key), f"{value} is out of its range, {least} to {most}")
    if rules.processes > 1 and not rules.launcher:
        raise binder.fail(("trainer", "processes"), "more than one process needs trainer.launcher")


def _check_backups(runbook: Runbook, binder: Binder) -> None:
    rules, keep = runbook.backups, vars(runbook.backups.keep)
    if not 0 <= rules.recheck_days <= 36_500:
        raise binder.fail(("backups", "recheck_days"), f"{rules.recheck_days} is out of its range, 0 to 36500")
    for name, value in keep.items():
        if name != "within" and not 0 <= value <= 100_000:
            raise binder.fail(("backups", "keep", name), f"{value} is out of its range, 0 to 100000")
    if span_s(rules.keep.within) is None:
        raise binder.fail(("backups", "keep", "within"), f"{rules.keep.within!r} is no span such as 36h, 2d or 1w")
    if not any(value for name, value in keep.items() if name != "within"):
        raise binder.fail(("backups", "keep"), "nothing would be kept: one of the counts must be over 0")


def _check_staged(runbook: Runbook, binder: Binder) -> None:
    rules = runbook.staged
    for key, value, most in (
        ("window_steps", rules.window_steps, 1_000_000),
        ("window_s", rules.window_s, 86_400),
        ("bisect_steps", rules.bisect_steps, 100_000),
    ):
        if not 1 <= value <= most:
            raise binder.fail(("staged", key), f"{value} is out of its range, 1 to {most}")
    if not rules.stages or len(set(rules.stages)) != len(rules.stages):
        raise binder.fail(("staged", "stages"), "each of table, block, immediate once, and at least one")


def _check_code(runbook: Runbook, binder: Binder, layout: Layout) -> None:
    try:
        re.compile(runbook.git.pattern)
    except re.error as error:
        raise binder.fail(("git", "pattern"), f"{runbook.git.pattern!r} is no pattern: {error}") from None
    for group in ("remove", "files"):
        for index, name in enumerate(getattr(runbook.full, group)):
            try:
                path = inside(layout.root, name)
            except OutsideProjectError as error:
                raise binder.fail(("full", group, index), str(error)) from None
            if _ours(path.relative_to(layout.root)) or name in (*runbook.files.configs, *runbook.files.models):
                raise binder.fail(("full", group, index), f"{name} is not to be taken out")


def _check_features(runbook: Runbook, binder: Binder) -> None:
    places: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name, feature in runbook.features.items():
        if feature.file not in runbook.files.configs:
            raise binder.fail(
                ("features", name, "file"),
                f"{feature.file} is not in files.configs",
                then=nearest(feature.file, runbook.files.configs),
            )
        _check_value(binder, ("features", name, "improved"), feature.improved, feature.baseline)
        for other, place in places.items():
            if place[0] == feature.file and place[1][: len(feature.path)] == feature.path[: len(place[1])]:
                raise binder.fail(("features", name, "key"), f"{feature.key} is also what {other} sets")
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
        raise binder.fail(
            ("reenable_plan",),
            f"no plan {runbook.reenable_plan!r}",
            then=nearest(runbook.reenable_plan, runbook.plans),
        )


def _check_settings(runbook: Runbook, binder: Binder, path: tuple[str | int, ...], settings: Settings) -> None:
    for name, value in settings.items():
        if name not in runbook.features:
            raise binder.fail((*path, name), "no such feature", then=nearest(name, runbook.features))
        _check_value(binder, (*path, name), value, runbook.features[name].baseline)


def _check_value(binder: Binder, path: tuple[str | int, ...], value: Value, example: Value) -> None:
    """A setting keeps its kind, as `config set` has it too."""
    if kind_of(value) != kind_of(example):
        raise binder.fail(path, f"{value!r} is not {kind_of(example)}, as the baseline {example!r} is")


def find_symptom(runbook: Runbook, word: str) -> tuple[str, Symptom]:
    """By name, alias, or title in either language."""
    wanted = word.strip().casefold()
    names: list[str] = []
    for name, symptom in runbook.symptoms.items():
        words = (name, *symptom.aliases, symptom.title.en, symptom.title.ja)
        if wanted in (one.casefold() for one in words):
            return name, symptom
        names += words
    close = nearest(word, names)
    then = close if close.startswith("did") else f"known: {', '.join(runbook.symptoms)}"
    raise WrongUsage(f"unknown symptom {word!r}", stands="nothing has changed", then=then)
