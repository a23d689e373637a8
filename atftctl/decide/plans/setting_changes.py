"""Compare wanted settings with the configs, and find the changes that are left to make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.facts import ConfigFile, Facts
from atftctl.domain.runbook import LIST_OR_MAPPING, Files, Runbook, Settings, Stage, kind_of
from atftctl.domain.steps import SettingChange, Target
from atftctl.domain.text import nearest, value_text
from atftctl.protocol.keys import KeyPath, item_number, key_text, parse_key
from atftctl.protocol.messages import joined, tr, trn


def changes(runbook: Runbook, configs: Mapping[str, ConfigFile], wanted: Settings) -> tuple[SettingChange, ...]:
    """Return a change for each setting that does not have its wanted value yet. Raises Refused for an unreadable
    config."""
    left = []
    for name, value in wanted.items():
        feature = runbook.feature(name)
        config = readable(configs[feature.file])
        old = config.get(feature.path)
        if not same(old, value):
            left.append(SettingChange(name, feature.file, feature.path, old, value))
    return tuple(left)


def settings_of(runbook: Runbook, symptom: str, stage: Stage) -> Settings:
    """Return the settings of a stage: the symptom's table row, its block, or the immediate rollback's settings."""
    row, block = runbook.symptoms[symptom].table, runbook.symptoms[symptom].settings
    return {"table": row, "block": block, "immediate": runbook.immediate.settings}[stage]


def readable(config: ConfigFile) -> ConfigFile:
    """Return the config itself. Raises Refused where it can't be read."""
    if config.error:
        raise Refused(
            tr("{path}: {reason}", path=config.path, reason=config.error),
            hint=config.way_back or tr("correct {path} with an editor", path=config.path),
        )
    return config


def targets_of(
    changed: Iterable[SettingChange], configs: Mapping[str, ConfigFile], order: Iterable[str]
) -> tuple[Target, ...]:
    """Group changes by file, in the order in which the runbook names the files."""
    changed = tuple(changed)
    targets = []
    for path in order:
        here = tuple(change for change in changed if change.file == path)
        if here:
            targets.append(Target(path=path, old=configs[path].sha256, changes=here))
    return tuple(targets)


def same(old: Any, new: Any) -> bool:
    """Are these the same setting? 1 and 1.0 are, true and 1 are not."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    return bool(old == new)


def flat(value: Any, path: KeyPath = ()) -> dict[KeyPath, Any]:
    """Return every setting by its key. An empty mapping counts as a setting."""
    if isinstance(value, Mapping) and value:
        return {key: leaf for name, item in value.items() for key, leaf in flat(item, (*path, str(name))).items()}
    return {path: value} if path else {}


def effective(configs: Mapping[str, ConfigFile]) -> dict[KeyPath, tuple[str, Any]]:
    """Return every setting, by its key where the trainer has it, with the file that decides its value, and the value.
    Raises Refused for an unreadable config."""
    layers = {path: flat(readable(config).layer) for path, config in configs.items()}
    return {key: (path, value) for path, layer in layers.items() for key, value in layer.items()}


def locate(runbook: Runbook, configs: Mapping[str, ConfigFile], word: str) -> SettingChange:
    """Find a setting by a feature's name or a dotted key; returns it as a change to the value that it has already. The
    key is that of the trainer; the change has the key in its file, which lacks the namespace of the file.

    Raises Refused for a setting that does not exist.
    """
    settings, files = effective(configs), runbook.files
    features = {(*files.namespace(each.file), *each.path): name for name, each in runbook.features.items()}
    feature = runbook.features.get(word)
    key = (*files.namespace(feature.file), *feature.path) if feature else _key(word)
    if key in settings:
        path, old = settings[key]
        return SettingChange(features.get(key, word), path, key[len(files.namespace(path)) :], old, old)
    if feature or key in features:
        known = feature or runbook.features[features[key]]
        return SettingChange(features[key], known.file, known.path, None, known.baseline)
    if (item := _item(settings, key)) is not None:
        path, old = item
        return SettingChange(features.get(key, word), path, key[len(files.namespace(path)) :], old, old)
    below = [key_text(known) for known in settings if known[: len(key)] == key]
    if below:
        raise Refused(
            trn("{key} holds {count} setting", "{key} holds {count} settings", len(below), key=word),
            hint=tr("name one of them: {keys}", keys=", ".join(below[:8])),
        )
    raise Refused(
        tr("no setting {name!r}", name=word), hint=nearest(word, [*runbook.features, *map(key_text, settings)])
    )


def _key(word: str) -> KeyPath:
    try:
        return parse_key(word)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _item(settings: Mapping[KeyPath, tuple[str, Any]], key: KeyPath) -> tuple[str, Any] | None:
    """Find a setting inside a list, such as `layers.0.size`: its file and value; None for any other key.

    Raises Refused for an item that does not exist.
    """
    for end in range(len(key) - 1, 0, -1):
        path, value = settings.get(key[:end], ("", None))
        if isinstance(value, list):
            return path, _inside(value, key, end)
    return None


def _inside(value: Any, key: KeyPath, depth: int) -> Any:
    """Return what `key` names inside `value`, which is the value at the first `depth` parts of the key. Raises
    Refused."""
    for name in key[depth:]:
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and (at := item_number(name)) is not None and at < len(value):
            value = value[at]
        else:
            above = key_text(key[:depth])
            what = (
                trn("{key} is a list of {count} item", "{key} is a list of {count} items", len(value), key=above)
                if isinstance(value, list)
                else tr("{key} holds no such key", key=above)
            )
            raise Refused(
                tr("no setting {name!r}: {reason}", name=key_text(key), reason=what),
                hint=tr("show it with: atftctl config get {key}", key=above),
            )
        depth += 1
    return value


def wanted_value(runbook: Runbook, change: SettingChange, value: Any) -> SettingChange:
    """Return the change to `value`. Raises Refused for a value of another kind than the setting has now.

    A whole number may become a fraction where the runbook's own value is one.
    """
    feature, key = runbook.features.get(change.feature), key_text(change.key)
    fraction = feature is not None and isinstance(feature.baseline, float)
    kinds = {kind_of(known) for known in (change.old, change.new) if known is not None}
    if value is None and LIST_OR_MAPPING not in kinds:
        return replace(change, new=None)
    if not isinstance(value, bool | int | float | str) or (kinds and kind_of(value) not in kinds):
        expected = joined(" or ", sorted(kinds)) if kinds else tr("a single value")
        raise Refused(tr("{key}: {value!r} is not {expected}", key=key, value=value, expected=expected))
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(tr("{key}: {value} is not a finite number", key=key, value=value))
    if type(change.old) is int and isinstance(value, float) and not value.is_integer() and not fraction:
        raise Refused(tr("{key}: {value} is not a whole number, as {old} is", key=key, value=value, old=change.old))
    return replace(change, new=value)


def as_merged(files: Files, change: SettingChange) -> KeyPath:
    """The key of a change where the trainer has it: with the namespace of its file."""
    return (*files.namespace(change.file), *change.key)


def reported(files: Files, changed: Iterable[SettingChange]) -> tuple[SettingChange, ...]:
    """The changes by the keys that the trainer reports."""
    return tuple(replace(change, key=as_merged(files, change)) for change in changed)


def not_taken_up(effective: Mapping[str, Any], wanted: Iterable[SettingChange]) -> list[str]:
    """Name the settings that were written but that the trainer did not report as effective; [] where all are."""
    lines: list[str] = []
    for change in wanted:
        key = key_text(change.key)
        if key in effective and not same(effective[key], change.new):
            written, running = value_text(change.new), value_text(effective[key])
            lines.append(
                tr(
                    "{key}: {written} was written, the trainer runs with {running}",
                    key=key,
                    written=written,
                    running=running,
                )
            )
    return lines


def state(runbook: Runbook, facts: Facts) -> dict[str, str]:
    """Return for each feature what `status` shows: off, on, its value where it is neither, or unreadable."""
    states = {}
    for name, feature in runbook.features.items():
        config = facts.configs.get(feature.file)
        value = config.get(feature.path) if config else None
        if config is None or config.error:
            states[name] = "unreadable"
        elif same(feature.baseline, feature.improved) and value is not None:
            states[name] = value_text(value)  # a number that a remedy may raise, not a switch
        elif same(value, feature.baseline):
            states[name] = "off"
        elif same(value, feature.improved):
            states[name] = "on"
        else:
            states[name] = "not set" if value is None else value_text(value)
    return states
