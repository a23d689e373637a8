"""What a rollback would do, as a digest: the same answer to the same fault is never given twice."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from atftctl import protocol
from atftctl.domain.facts import ConfigFile
from atftctl.domain.plan import Plan


def answer_of(plan: Plan, configs: Mapping[str, ConfigFile]) -> str:
    """A digest of the settings that a plan leads to, and of the checkpoint that it resumes from. `configs`: as they are
    now."""
    merged = protocol.merge_settings(copy.deepcopy(dict(config.layer)) for config in configs.values())
    for change in plan.changes:
        namespace = configs[change.file].namespace if change.file in configs else ()
        _set(merged, (*namespace, *change.key), change.new)
    others = [
        [target.path, target.snapshot, target.commit, target.copy, target.new]
        for target in plan.targets
        if target.path not in configs or target.snapshot or target.commit
    ]
    text = json.dumps([protocol.config_digest(merged), sorted(others, key=str), plan.resume])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _set(settings: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    for name in key[:-1]:
        inner = settings.get(name)
        if not isinstance(inner, dict):
            inner = settings[name] = {}
        settings = inner
    settings[key[-1]] = value
