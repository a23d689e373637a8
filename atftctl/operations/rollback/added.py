"""The configs as a snapshot holds them: what `rollback --to` with `--with` edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.domain.facts import ConfigFile
from atftctl.domain.runbook import Files
from atftctl.domain.snapshot import Snapshot
from atftctl.observe.configs import in_place, read_config
from atftctl.operations.setting_arguments import pairs_of
from atftctl.state.layout import Layout


def added_settings(arguments: Sequence[str]) -> dict[str, object]:
    """Read the values of --with. Raises UsageError."""
    return pairs_of(arguments, pairs_only=True) if arguments else {}


def restored_configs(layout: Layout, snapshot: Snapshot, files: Files) -> dict[str, ConfigFile]:
    """Read the configs of a snapshot, by their path in the project; one that it does not hold as it is now."""
    configs = {}
    for name in files.configs:
        file = snapshot.file(name)
        copy = snapshot.where(file) if file else name
        configs[name] = in_place(replace(read_config(layout.root, copy), path=name), files)
    return configs
