"""`config get` and `config set`: single settings, read and changed as text, with the same safety as a rollback."""

from __future__ import annotations

import re
from collections.abc import Sequence

from atftctl.decide.plans import by_settings
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.setting_changes import effective, locate, wanted_value
from atftctl.domain.errors import UsageError
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.text import counted, value_text
from atftctl.host.errors import YamlError
from atftctl.host.yaml_text.read import read
from atftctl.observe.configs import read_configs
from atftctl.operations.change.change import Change
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.operations.rollback.auto_undo import carry_out_or_undo
from atftctl.protocol import Exit
from atftctl.protocol.keys import key_text

# What YAML 1.1 and 1.2 read differently: 12:30 is 750, 010 is 8, 1_0 is 10, yes is true to the one, not to the other.
AMBIGUOUS = re.compile(
    r"[-+]?([\d_]+(:[\d_.]+)+|0[\d_]+|[\d_.]*\d_[\d_.]*(e[-+]?\d+)?|y|n|yes|no|on|off)", re.IGNORECASE
)

PAIR = re.compile(r"""((?:"[^"]*"|'[^']*'|[^=])+?)=(.*)""", re.DOTALL)  # a key may have `=` in quotes


def get(project: Project, word: str) -> Result:
    """One setting by its key or its feature's name; all of them where none is named."""
    configs = read_configs(project.layout.root, project.runbook.files.configs)
    if word:
        one = locate(project.runbook, configs, word)
        data = {"key": key_text(one.key), "file": one.file, "value": one.old}
        return Result("config get", Exit.DONE, value_text(one.old), data=data)
    found = {key_text(key): {"file": path, "value": value} for key, (path, value) in effective(configs).items()}
    lines = tuple(f"{key}: {value_text(one['value'])}" for key, one in found.items())
    return Result("config get", Exit.DONE, counted(len(found), "setting"), lines=lines, data={"settings": found})


def put(project: Project, words: Sequence[str], wish: RestartPolicy, request: Request) -> Result:
    """`KEY VALUE`, or `KEY=VALUE…`."""
    pairs = _pairs(words)

    def decide(facts: Facts) -> Plan:
        changes = [
            wanted_value(project.runbook, locate(project.runbook, facts.configs, key), value)
            for key, value in pairs.items()
        ]
        if len({change.key for change in changes}) < len(changes):
            raise UsageError("one setting is named twice")
        return by_settings.set_values(project.runbook, facts, changes, wish)

    return carry_out_or_undo(project, Change(decide), wish, request)


def _pairs(words: Sequence[str]) -> dict[str, object]:
    """Raises UsageError."""
    if len(words) == 2 and "=" not in words[0]:
        return {words[0]: _value(words[1])}
    pairs = [pair.groups() for word in words if (pair := PAIR.fullmatch(word))]
    if not words or len(pairs) < len(words):
        raise UsageError("KEY VALUE, or KEY=VALUE…")
    if len({key for key, _ in pairs}) < len(pairs):
        raise UsageError("one setting is named twice")
    return {key: _value(value) for key, value in pairs}


def _value(text: str) -> object:
    """As a config would have it. Raises UsageError."""
    if AMBIGUOUS.fullmatch(text):
        raise UsageError(
            f"{text!r} is read differently by different readers; quote it if a word is meant",
        )
    try:
        document = read(text.encode())
    except (YamlError, UnicodeError) as error:
        raise UsageError(f"{text!r} is no value: {getattr(error, 'reason', error)}") from None
    if document.node is None and not isinstance(document.value, dict):
        raise UsageError("no value is given; write null for none, or '\"\"' for an empty word")
    if document.node is not None and not document.is_all_of(text):
        raise UsageError(f"{text!r} is more than a value: it holds a comment, a tag or an anchor; quote a word")
    return document.value
