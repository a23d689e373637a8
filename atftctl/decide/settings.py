"""From wanted settings to the changes that are left to make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile, Facts
from atftctl.domain.plan import SettingChange, Target, show
from atftctl.domain.runbook import Runbook, Settings


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


def readable(config: ConfigFile) -> ConfigFile:
    if config.error:
        raise Refused(
            f"{config.path}: {config.error}",
            then="mend it, or take a copy back: atftctl backup list, atftctl restore ID",
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


def not_taken_up(effective: Mapping[str, Any], wanted: Iterable[SettingChange]) -> list[str]:
    """Settings that were written and are not in effect, by the trainer's own echo; [] when it took all of them."""
    words = []
    for change in wanted:
        key = ".".join(change.key)
        if key in effective and not same(effective[key], change.new):
            words.append(f"{key}: wrote {show(change.new)}, runs with {show(effective[key])}")
    return words


def state(runbook: Runbook, facts: Facts) -> dict[str, str]:
    """Each feature's word for `status`: off, on, its value where it has neither, or unreadable."""
    words = {}
    for name, feature in runbook.features.items():
        config = facts.configs[feature.file]
        value = config.get(feature.path)
        if config.error:
            words[name] = "unreadable"
        elif same(feature.baseline, feature.improved) and value is not None:
            words[name] = show(value)  # a number that a remedy may raise, no switch
        elif same(value, feature.baseline):
            words[name] = "off"
        elif same(value, feature.improved):
            words[name] = "on"
        else:
            words[name] = "not set" if value is None else show(value)
    return words
