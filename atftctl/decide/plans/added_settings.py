"""Settings that the operator adds to a rollback: `--with KEY=VALUE`. Where the rollback sets the same, they win."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from atftctl.decide.plans.setting_changes import as_merged, locate, same, wanted_value
from atftctl.domain.errors import UsageError
from atftctl.domain.facts import ConfigFile
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook, Settings
from atftctl.domain.steps import SettingChange, Target
from atftctl.domain.text import value_text
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import tr

TWICE = tr("the same setting is given twice")
Added = Mapping[str, object]  # values by dotted key or name of a feature


@record
class WithAdded:
    """The changes or targets of a plan with the added settings among them, and what the plan says about that."""

    changes: tuple[SettingChange, ...] = ()
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()


def wanted_changes(runbook: Runbook, configs: Mapping[str, ConfigFile], wanted: Added) -> tuple[SettingChange, ...]:
    """Return a change for each of these settings, also where it has the value already. Raises Refused for an unknown
    setting and a value of another kind, UsageError for one that is given twice."""
    changes = tuple(wanted_value(runbook, locate(runbook, configs, key), value) for key, value in wanted.items())
    if len({as_merged(runbook.files, change) for change in changes}) < len(changes):
        raise UsageError(TWICE)
    return changes


def add_to_changes(
    runbook: Runbook,
    configs: Mapping[str, ConfigFile],
    rollback: Settings,
    changes: Sequence[SettingChange],
    added: Added,
) -> WithAdded:
    """Add settings to the changes of a rollback by settings. `rollback`: all settings that it wants, also those that
    are in place already. Raises as `wanted_changes`."""
    ours = wanted_changes(runbook, configs, added)
    files = runbook.files
    keys = {as_merged(files, change) for change in ours}
    features = [(runbook.feature(name), value) for name, value in rollback.items()]
    wanted = {(*files.namespace(feature.file), *feature.path): value for feature, value in features}
    both = [(change, wanted[key]) for change in ours if (key := as_merged(files, change)) in wanted]
    notes = [_overrides(change, value) for change, value in both if not same(value, change.new)]
    kept = [change for change in changes if as_merged(files, change) not in keys]
    alone = [change for change in ours if as_merged(files, change) not in wanted]
    return WithAdded((*kept, *_left(ours)), notes=(*notes, *_in_place(alone)))


def add_to_targets(
    runbook: Runbook,
    configs: Mapping[str, ConfigFile],
    restored: Mapping[str, ConfigFile],
    targets: Sequence[Target],
    added: Added,
) -> WithAdded:
    """Add settings to a plan that restores files. `configs`: the files as they are; `restored`: as they are after it,
    without these settings. Raises as `wanted_changes`."""
    ours = wanted_changes(runbook, restored, added)
    left = _left(ours)
    edited: list[Target] = []
    for target in targets:
        here = tuple(change for change in left if change.file == target.path)
        edited.append(replace(target, changes=here) if here else target)
    known = {target.path for target in targets}
    for path in dict.fromkeys(change.file for change in left if change.file not in known):
        here = tuple(change for change in left if change.file == path)
        edited.append(Target(path=path, old=configs[path].sha256, changes=here))
    notes = [_overrides(change, change.old) for change in left if change.file in known]
    return WithAdded(targets=tuple(edited), notes=(*notes, *_in_place(ours)))


def about_added(added: Added) -> dict[str, dict[str, Any]]:
    """What the record of the operation holds of them."""
    return {"with": dict(added)} if added else {}


def _left(changes: Iterable[SettingChange]) -> tuple[SettingChange, ...]:
    return tuple(change for change in changes if not same(change.old, change.new))


def _overrides(change: SettingChange, other: Any) -> str:
    values = {"key": key_text(change.key), "new": value_text(change.new), "other": value_text(other)}
    return tr("{key}: {new} by --with, in place of {other}, which the rollback sets", **values)


def _in_place(changes: Iterable[SettingChange]) -> list[str]:
    """Say which added settings change nothing: those that have this value."""
    return [
        tr("{key} is {value} already (--with)", key=key_text(change.key), value=value_text(change.new))
        for change in changes
        if same(change.old, change.new)
    ]
