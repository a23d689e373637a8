"""Where the phases of `reenable` stand: by the record and by the configs. Neither of the two is enough alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from atftctl.decide.plans.setting_changes import flat, readable, same
from atftctl.domain.facts import ConfigFile
from atftctl.domain.reenabling import GOOD, Reenabling
from atftctl.domain.runbook import Runbook
from atftctl.domain.text import value_text
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import Message, joined, tr

Configs = Mapping[str, ConfigFile]
Contents = Sequence[Mapping[str, Any]]
NEEDS_SETTINGS = (*GOOD, "held", "watching")  # a phase in this state is void where its settings are gone


def standing(runbook: Runbook, configs: Configs, state: Reenabling | None, number: int) -> tuple[str, str]:
    """(how a phase stands: see `domain.reenabling.Doing`, or "not begun"; why, or ""). Raises Refused for an unreadable
    config."""
    phase = state.phase(number) if state else None
    if state is None or phase is None:
        return "not begun", ""
    if phase.doing in NEEDS_SETTINGS and (gone := taken_away(runbook, configs, state.contents, number)):
        return "void", joined("; ", gone)
    return phase.doing, phase.note


def has_passed(runbook: Runbook, configs: Configs, state: Reenabling | None, number: int) -> bool:
    """Did a phase pass its gate, and are the settings of all phases up to it still in place?"""
    return standing(runbook, configs, state, number)[0] in GOOD


def next_number(runbook: Runbook, configs: Configs, state: Reenabling | None, count: int) -> int:
    """The first phase that has not passed; 0 where all `count` have."""
    numbers = range(1, count + 1)
    return next((number for number in numbers if not has_passed(runbook, configs, state, number)), 0)


def taken_away(runbook: Runbook, configs: Configs, contents: Contents, number: int) -> list[Message]:
    """The settings of the phases 1 to `number` that are not in place any more, a line each. A later phase may have
    changed a setting again."""
    wanted = {name: value for phase in contents[:number] for name, value in phase["settings"].items()}
    lines = []
    for name, value in wanted.items():
        later = [phase["settings"][name] for phase in contents[number:] if name in phase["settings"]]
        if name not in runbook.features:
            lines.append(tr("{feature} is no longer in the runbook", feature=name))
            continue
        feature = runbook.feature(name)
        config = configs.get(feature.file)
        current = readable(config).get(feature.path) if config else None
        if not any(same(current, allowed) for allowed in (value, *later)):
            key, text = key_text(feature.path), value_text(current)
            lines.append(tr("{key} is {current}, not {value}", key=key, current=text, value=value_text(value)))
    return lines


def edits(before: Contents, after: Contents) -> list[Message]:
    """What changed in a plan, a line each."""
    lines = [line for number, pair in enumerate(zip(before, after), 1) for line in _edits_of_phase(number, *pair)]  # noqa: B905 - the numbers may differ
    if len(before) != len(after):
        lines.append(tr("it had {before} phases and has {after} now", before=len(before), after=len(after)))
    return lines


def _edits_of_phase(number: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Message]:
    old, new = ({key_text(path): value for path, value in flat(phase).items()} for phase in (before, after))
    for key in sorted(old.keys() | new.keys()):
        if not same(old.get(key), new.get(key)):
            values = {
                side: value_text(phase[key]) if key in phase else tr("(none)")
                for side, phase in (("old", old), ("new", new))
            }
            yield tr("phase {number}, {key}: {old} → {new}", number=number, key=key, **values)
