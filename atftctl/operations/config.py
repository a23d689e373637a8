"""`config get` and `config set`: read and change single settings as text, as safely as a rollback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atftctl.decide.plans import by_settings
from atftctl.decide.plans.added_settings import wanted_changes
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.setting_changes import effective, locate
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Data, Result
from atftctl.domain.text import value_text
from atftctl.observe.configs import read_configs
from atftctl.operations.change.change import Change
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.operations.rollback.auto_undo import carry_out_or_undo
from atftctl.operations.setting_arguments import pairs_of
from atftctl.protocol import Exit
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import trn


@dataclass(frozen=True)
class SettingData(Data):
    """One setting. key: its dotted key. file: the config that decides it. value: its value."""

    key: str
    file: str
    value: Any


@dataclass(frozen=True)
class EffectiveSetting(Data):
    """The value of a setting. file: the config that decides it. value: its value."""

    file: str
    value: Any


@dataclass(frozen=True)
class SettingsData(Data):
    """All settings. settings: by dotted key."""

    settings: Mapping[str, EffectiveSetting]


def get_settings(project: Project, name: str) -> Result:
    """Return one setting, or all of them. `name`: its key or the name of its feature; "" for all. Raises Refused,
    UsageError."""
    configs = read_configs(project.layout.root, project.runbook.files)
    if name:
        setting = locate(project.runbook, configs, name)
        data = SettingData(key_text(setting.key), setting.file, setting.old)
        return Result("config get", Exit.DONE, value_text(setting.old), data=data)
    settings = {key_text(key): EffectiveSetting(path, value) for key, (path, value) in effective(configs).items()}
    lines = tuple(f"{key}: {value_text(setting.value)}" for key, setting in settings.items())
    headline = trn("{count} setting", "{count} settings", len(settings))
    return Result("config get", Exit.DONE, headline, lines=lines, data=SettingsData(settings))


def set_settings(project: Project, arguments: Sequence[str], policy: RestartPolicy, request: Request) -> Result:
    """Change settings. `arguments`: `KEY VALUE`, or `KEY=VALUE` for each setting. Raises UsageError, and as
    `carry_out`."""
    pairs = pairs_of(arguments)

    def decide(facts: Facts) -> Plan:
        changes = wanted_changes(project.runbook, facts.configs, pairs)
        return by_settings.set_values(project.runbook, facts, changes, policy)

    return carry_out_or_undo(project, Change(decide), policy, request)
