"""The configs as a snapshot holds them: what `rollback --to` with `--with` edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.domain.facts import ConfigFile
from atftctl.domain.snapshot import Snapshot
from atftctl.observe.configs import read_config
from atftctl.operations.setting_arguments import pairs_of
from atftctl.state.layout import Layout


def added_settings(arguments: Sequence[str]) -> dict[str, object]:
    """Read the values of --with. Raises UsageError."""
    return pairs_of(arguments, pairs_only=True) if arguments else {}


def restored_configs(layout: Layout, snapshot: Snapshot, names: Sequence[str]) -> dict[str, ConfigFile]:
    """Read the configs of a snapshot, by their path in the project; one that it does not hold as it is now."""
    configs = {}
    for name in names:
        file = snapshot.file(name)
        copy = snapshot.where(file) if file else name
        configs[name] = replace(read_config(layout.root, copy), path=name)
    return configs
