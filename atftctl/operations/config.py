"""`config get` and `config set`: read and change single settings as text, as safely as a rollback."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atftctl.decide.plans import by_settings
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.setting_changes import effective, locate, wanted_value
from atftctl.domain.errors import UsageError
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Data, Result
from atftctl.domain.text import value_text
from atftctl.host.errors import YamlError
from atftctl.host.yaml_text.read import read
from atftctl.observe.configs import read_configs
from atftctl.operations.change.change import Change
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.operations.rollback.auto_undo import carry_out_or_undo
from atftctl.protocol import Exit
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import tr, trn

# What YAML 1.1 and YAML 1.2 read differently: 12:30 is 750 or a text, 010 is 8 or 10, yes is true or a text.
AMBIGUOUS = re.compile(
    r"[-+]?([\d_]+(:[\d_.]+)+|0[\d_]+|[\d_.]*\d_[\d_.]*(e[-+]?\d+)?|y|n|yes|no|on|off)", re.IGNORECASE
)

PAIR = re.compile(r"""((?:"[^"]*"|'[^']*'|[^=])+?)=(.*)""", re.DOTALL)  # a key may have `=` in quotes
TWICE = tr("the same setting is given twice")


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
    configs = read_configs(project.layout.root, project.runbook.files.configs)
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
    pairs = _pairs(arguments)

    def decide(facts: Facts) -> Plan:
        changes = [
            wanted_value(project.runbook, locate(project.runbook, facts.configs, key), value)
            for key, value in pairs.items()
        ]
        if len({change.key for change in changes}) < len(changes):
            raise UsageError(TWICE)
        return by_settings.set_values(project.runbook, facts, changes, policy)

    return carry_out_or_undo(project, Change(decide), policy, request)


def _pairs(arguments: Sequence[str]) -> dict[str, object]:
    """Return the value of each key. Raises UsageError."""
    if len(arguments) == 2 and "=" not in arguments[0]:
        return {arguments[0]: _value(arguments[1])}
    pairs = [pair.groups() for argument in arguments if (pair := PAIR.fullmatch(argument))]
    if not arguments or len(pairs) < len(arguments):
        raise UsageError(tr("expected KEY VALUE, or KEY=VALUE for each setting"))
    if len({key for key, _ in pairs}) < len(pairs):
        raise UsageError(TWICE)
    return {key: _value(value) for key, value in pairs}


def _value(text: str) -> object:
    """Read a value as a config file would. Raises UsageError."""
    if AMBIGUOUS.fullmatch(text):
        raise UsageError(tr("{value!r} is ambiguous in YAML; put a string in quotes", value=text))
    try:
        document = read(text.encode())
    except (YamlError, UnicodeError) as error:
        problem = error.reason if isinstance(error, YamlError) else str(error)
        raise UsageError(tr("{value!r} is not a YAML value: {reason}", value=text, reason=problem)) from None
    if document.node is None and not isinstance(document.value, dict):
        raise UsageError(tr("the value is missing; write null for no value, or '\"\"' for an empty string"))
    if document.node is not None and not document.is_all_of(text):
        raise UsageError(
            tr(
                "{value!r} holds more than a value, such as a comment, a tag or an anchor; put a string in quotes",
                value=text,
            )
        )
    return document.value
