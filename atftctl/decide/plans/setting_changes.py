"""From wanted settings to the changes that are left to make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.facts import ConfigFile, Facts
from atftctl.domain.runbook import LIST_OR_MAPPING, Runbook, Settings, Stage, kind_of
from atftctl.domain.steps import SettingChange, Target
from atftctl.domain.text import counted, nearest, value_text
from atftctl.protocol.keys import KeyPath, item_number, key_text, parse_key


def changes(runbook: Runbook, configs: Mapping[str, ConfigFile], wanted: Settings) -> tuple[SettingChange, ...]:
    """One change for each setting that does not have its wanted value yet. Raises Refused for a config that can't
    be read."""
    found = []
    for name, value in wanted.items():
        feature = runbook.feature(name)
        config = readable(configs[feature.file])
        old = config.get(feature.path)
        if not same(old, value):
            found.append(SettingChange(name, feature.file, feature.path, old, value))
    return tuple(found)


def settings_of(runbook: Runbook, symptom: str, stage: Stage) -> Settings:
    """Stage 1 is the table's row, 2 the block, 3 everything (DESIGN section 5)."""
    found = runbook.symptoms[symptom]
    return {"table": found.table, "block": found.settings, "immediate": runbook.immediate.settings}[stage]


def readable(config: ConfigFile) -> ConfigFile:
    if config.error:
        raise Refused(
            f"{config.path}: {config.error}",
            hint=config.way_back or "mend it by hand",
        )
    return config


def targets(
    changed: Iterable[SettingChange], configs: Mapping[str, ConfigFile], order: Iterable[str]
) -> tuple[Target, ...]:
    """The changes by file, in the order in which the runbook names the files."""
    changed = tuple(changed)
    found = []
    for path in order:
        here = tuple(change for change in changed if change.file == path)
        if here:
            found.append(Target(path=path, old=configs[path].sha256, changes=here))
    return tuple(found)


def same(old: Any, new: Any) -> bool:
    """1 and 1.0 are the same setting, true and 1 are not."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    return bool(old == new)


def flat(value: Any, path: KeyPath = ()) -> dict[KeyPath, Any]:
    """Every setting by its key; an empty mapping is one."""
    if isinstance(value, Mapping) and value:
        return {key: one for name, item in value.items() for key, one in flat(item, (*path, str(name))).items()}
    return {path: value} if path else {}


def effective(configs: Mapping[str, ConfigFile]) -> dict[KeyPath, tuple[str, Any]]:
    """Every setting: the file that has the last word on it, and its value. Raises Refused for a config that can't be
    read."""
    layers = {path: flat(readable(config).data) for path, config in configs.items()}
    return {key: (path, value) for path, layer in layers.items() for key, value in layer.items()}


def locate(runbook: Runbook, configs: Mapping[str, ConfigFile], word: str) -> SettingChange:
    """The setting that a word means, a feature's name or a dotted key, as a change to what it is already. Raises
    Refused for one that is not there."""
    settings = effective(configs)
    features = {feature.path: name for name, feature in runbook.features.items()}
    feature = runbook.features.get(word)
    key = feature.path if feature else _key(word)
    if key in settings:
        path, old = settings[key]
        return SettingChange(features.get(key, word), path, key, old, old)
    if feature or key in features:
        known = feature or runbook.features[features[key]]
        return SettingChange(features[key], known.file, key, None, known.baseline)
    if (item := _item(settings, key)) is not None:
        return SettingChange(features.get(key, word), item[0], key, item[1], item[1])
    below = [key_text(one) for one in settings if one[: len(key)] == key]
    if below:
        raise Refused(f"{word} holds {counted(len(below), 'setting')}", hint=f"one of them: {', '.join(below[:8])}")
    raise Refused(f"no setting {word!r}", hint=nearest(word, [*runbook.features, *map(key_text, settings)]))


def _key(word: str) -> KeyPath:
    try:
        return parse_key(word)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _item(settings: Mapping[KeyPath, tuple[str, Any]], key: KeyPath) -> tuple[str, Any] | None:
    """(file, value) of what stands in a list, `layers.0.size`; None for any other key. Raises Refused for an item that
    is not there."""
    for end in range(len(key) - 1, 0, -1):
        path, value = settings.get(key[:end], ("", None))
        if isinstance(value, list):
            return path, _inside(value, key, end)
    return None


def _inside(value: Any, key: KeyPath, depth: int) -> Any:
    """What `key` names in `value`, which stands at its first `depth` parts. Raises Refused."""
    for name in key[depth:]:
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and (at := item_number(name)) is not None and at < len(value):
            value = value[at]
        else:
            above = key_text(key[:depth])
            what = f"is a list of {counted(len(value), 'item')}" if isinstance(value, list) else "holds no such key"
            raise Refused(f"no setting {key_text(key)!r}: {above} {what}", hint=f"atftctl config get {above}")
        depth += 1
    return value


def wanted_value(runbook: Runbook, change: SettingChange, value: Any) -> SettingChange:
    """The change to `value`. Raises Refused for what is of another kind than what stands; a whole number may become
    another one where the runbook's own value is."""
    feature = runbook.features.get(change.feature)
    fraction = feature is not None and isinstance(feature.baseline, float)
    kinds = {kind_of(one) for one in (change.old, change.new) if one is not None}
    if value is None and LIST_OR_MAPPING not in kinds:
        return replace(change, new=None)
    if not isinstance(value, bool | int | float | str) or (kinds and kind_of(value) not in kinds):
        raise Refused(f"{key_text(change.key)}: {value!r} is not {' or '.join(sorted(kinds)) or 'a single value'}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"{key_text(change.key)}: {value} is no number to train with")
    if type(change.old) is int and isinstance(value, float) and not value.is_integer() and not fraction:
        raise Refused(f"{key_text(change.key)}: {value} is not a whole number, as {change.old} is")
    return replace(change, new=value)


def not_taken_up(effective: Mapping[str, Any], wanted: Iterable[SettingChange]) -> list[str]:
    """Settings that were written and are not in effect, by the trainer's own echo; [] when it took all of them."""
    words = []
    for change in wanted:
        key = key_text(change.key)
        if key in effective and not same(effective[key], change.new):
            words.append(f"{key}: wrote {value_text(change.new)}, runs with {value_text(effective[key])}")
    return words


def state(runbook: Runbook, facts: Facts) -> dict[str, str]:
    """Each feature's word for `status`: off, on, its value where it has neither, or unreadable."""
    words = {}
    for name, feature in runbook.features.items():
        config = facts.configs.get(feature.file)
        value = config.get(feature.path) if config else None
        if config is None or config.error:
            words[name] = "unreadable"
        elif same(feature.baseline, feature.improved) and value is not None:
            words[name] = value_text(value)  # a number that a remedy may raise, no switch
        elif same(value, feature.baseline):
            words[name] = "off"
        elif same(value, feature.improved):
            words[name] = "on"
        else:
            words[name] = "not set" if value is None else value_text(value)
    return words
