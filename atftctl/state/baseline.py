"""The recorded baselines that later runs are compared with: `.atftctl/baselines/NAME.json`, and which is in use.

The file `.in-use` in that folder names the one that `verify` uses. Before there could be several, the only one was
`.atftctl/baseline.json`; it is read as the one called `default`, and moved there by the next change.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.pairing import KEYS
from atftctl.domain.record import record
from atftctl.domain.text import nearest
from atftctl.host import footprint
from atftctl.host.errors import HostError, reason
from atftctl.host.files import durable
from atftctl.host.files.folders import fsync_dir, make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.protocol import is_number
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

BASELINE_VERSION = 2
READ = (1, BASELINE_VERSION)  # versions; the first had the quality under the name of one service's metric
DEFAULT = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LARGEST = 64 << 20  # bytes
IN_USE = ".in-use"
HINT = tr("record the baseline again: atftctl baseline record")


@record
class Stored:
    """One baseline. `content`: empty where it can't be used; then `problem` says why."""

    name: str
    content: Mapping[str, Any]
    problem: str = ""


def check_name(name: str) -> str:
    """Return the name of a baseline. Raises UsageError for a name that can't be one: it becomes the name of a file."""
    if not NAME.fullmatch(name):
        text = tr("{name!r} can't be the name of a baseline", name=name)
        raise UsageError(text, hint=tr("use letters, digits, dots, dashes and underscores, such as tokyo-2026"))
    return name


def names(layout: Layout) -> list[str]:
    """The names of all baselines, in alphabetical order. Raises OSError where their folder can't be read."""
    try:
        files = [path.name for path in layout.baselines.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        files = []
    known = {file.removesuffix(".json") for file in files if file.endswith(".json")}
    if os.path.lexists(layout.baseline):
        known.add(DEFAULT)
    return sorted(name for name in known if NAME.fullmatch(name))


def name_in_use(layout: Layout) -> str:
    """The name of the baseline that `verify` uses; "" for none. Raises Refused where that is not known."""
    try:
        name = json.loads(read_bytes(layout.baselines / IN_USE, LARGEST))["name"]
        if name is not None and not NAME.fullmatch(name):
            raise ValueError(tr("{name!r} can't be the name of a baseline", name=name))
    except (FileNotFoundError, NotADirectoryError):
        return DEFAULT if DEFAULT in names(layout) else ""
    except (OSError, HostError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(
            tr("it is not known which baseline is in use: {reason}", reason=reason(error)),
            hint=tr("choose one: atftctl baseline set NAME; list them: atftctl baseline list"),
        ) from None
    return name or ""


def known(layout: Layout, name: str) -> str:
    """Return the name of a recorded baseline. Raises UsageError where there is none of this name."""
    if (recorded := names(layout)) and name not in recorded:
        raise UsageError(tr("there is no baseline {name!r}", name=name), hint=nearest(name, recorded))
    if not recorded:
        raise UsageError(
            tr("there is no baseline {name!r}", name=name),
            hint=tr("record one: atftctl baseline record --name {name}", name=name),
        )
    return name


def read_baseline(layout: Layout, name: str = "") -> dict[str, Any] | None:
    """The baseline of this name, "" for the one in use; None where none is in use. Raises Refused where its file is
    missing, can't be read or is not valid: it must not count as none."""
    name = name or name_in_use(layout)
    if not name:
        return None
    try:
        baseline = json.loads(read_bytes(_file(layout, name), LARGEST))
    except FileNotFoundError:
        raise Refused(
            tr("the baseline {name} is missing", name=name),
            hint=tr("choose another one: atftctl baseline set NAME; list them: atftctl baseline list"),
        ) from None
    except (OSError, HostError, ValueError, RecursionError) as error:
        raise Refused(tr("the baseline can't be read: {reason}", reason=reason(error)), hint=HINT) from None
    if not isinstance(baseline, dict):
        raise Refused(tr("the baseline is not valid: it is not a JSON object"), hint=HINT)
    if baseline.get("version") not in READ:
        version, read = baseline.get("version"), BASELINE_VERSION
        text = tr("the baseline has version {version}; this atftctl reads version {known}", version=version, known=read)
        raise Refused(text, hint=HINT)
    baseline = _up_to_date(baseline)
    if not is_valid(baseline):
        raise Refused(tr("the baseline is not valid: a value is missing or wrong"), hint=HINT)
    return baseline


def _up_to_date(baseline: Mapping[str, Any]) -> dict[str, Any]:
    """A baseline as this version writes it: before, the quality had the name of one metric."""
    if baseline.get("version") == BASELINE_VERSION:
        return dict(baseline)
    old = next((key for key in baseline if isinstance(baseline[key], dict) and "by_date" in baseline[key]), "quality")
    kept = {key: value for key, value in baseline.items() if key != old}
    return {**kept, "version": BASELINE_VERSION, "quality": baseline.get(old)}


def all_baselines(layout: Layout) -> list[Stored]:
    """Every baseline, also those that can't be used. Raises OSError where their folder can't be read."""
    stored = []
    for name in names(layout):
        try:
            stored.append(Stored(name, read_baseline(layout, name) or {}))
        except Refused as error:
            stored.append(Stored(name, {}, error.message))
    return stored


def write(layout: Layout, name: str, baseline: Mapping[str, Any]) -> None:
    """Write a baseline durably; where none is in use, use it from now on. Raises OSError, HostError."""
    _migrate(layout)
    first = not os.path.lexists(layout.baselines / IN_USE)
    path = layout.baselines / f"{name}.json"
    with footprint.of_file(path, tr("recorded the baseline {name}", name=name)):
        durable.write_durably(path, sealed_records.plain(baseline, indent=1))
    if first and name != DEFAULT and DEFAULT not in names(layout):
        use(layout, name)


def use(layout: Layout, name: str) -> None:
    """Have `verify` use this baseline, "" for none. Raises OSError, HostError."""
    _migrate(layout)
    path = layout.baselines / IN_USE
    message = tr("chose the baseline {name}", name=name) if name else tr("no baseline is in use any more")
    with footprint.of_file(path, message):
        durable.write_durably(path, sealed_records.plain({"name": name or None}))


def remove(layout: Layout, name: str) -> None:
    """Remove a baseline for good. Raises OSError, HostError."""
    _migrate(layout)
    path = layout.baselines / f"{name}.json"
    with footprint.of_file(path, tr("removed the baseline {name}", name=name)):
        if durable.remove(path):
            fsync_dir(layout.baselines)


def figures(layout: Layout) -> dict[str, Any]:
    """A summary of the baseline in use for snapshots; empty where there is none, or it is not valid."""
    try:
        baseline = read_baseline(layout)
    except (Refused, OSError):
        return {}
    return summary_of(baseline) if baseline else {}


def summary_of(baseline: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of a baseline: `recorded`, `config_digest`, and what it has of `quality` (the mean), `title`,
    `unit`, `pairs`, `pair_by`, `memory_mb` and `step_s`."""
    part, cost = baseline.get("quality") or {}, baseline.get("cost") or {}
    key, pairs = next(((by, part[name]) for by, name in KEYS.items() if part.get(name)), ("", ()))
    known = {
        "recorded": str(baseline.get("recorded", "")),
        "config_digest": str(baseline.get("config_digest", "")),
        "quality": mean_of(part),
        "title": str(part.get("title", "")),
        "unit": str(part.get("unit", "")),
        "pairs": len(pairs) or None,
        "pair_by": key,
        **{name: float(cost[name]) for name in ("memory_mb", "step_s") if is_number(cost.get(name))},
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def mean_of(part: Mapping[str, Any]) -> float | None:
    """The mean quality: as it was answered, else of the values; None where there is none."""
    if is_number(part.get("mean")):
        return float(part["mean"])
    for name in KEYS.values():
        given = part.get(name)
        values = list(given.values()) if isinstance(given, dict) else given
        numbers = [float(value) for value in values if is_number(value)] if isinstance(values, list) else []
        if numbers:
            return math.fsum(numbers) / len(numbers)
    return None


def _file(layout: Layout, name: str) -> Path:
    """Where a baseline is read: the old place for the default one, as long as it was not moved."""
    path = layout.baselines / f"{name}.json"
    return layout.baseline if name == DEFAULT and not os.path.lexists(path) else path


def _migrate(layout: Layout) -> None:
    """Make the folder, and move the only baseline of a project from before into it, as it is."""
    make_dirs(layout.baselines, 0o700)
    target = layout.baselines / f"{DEFAULT}.json"
    if os.path.lexists(layout.baseline) and not os.path.lexists(target):
        durable.rename(layout.baseline, target)
        fsync_dir(layout.baselines)
        fsync_dir(layout.state)


def is_valid(baseline: Mapping[str, Any]) -> bool:
    """Does it hold the settings that it was measured with, and something that later runs can be compared with?"""
    part, cost, configs = (baseline.get(name) for name in ("quality", "cost", "configs"))
    if not isinstance(configs, dict) or not all(isinstance(text, str) for text in configs.values()):
        return False
    if not isinstance(part or {}, dict) or not isinstance(cost, dict) or baseline.get("config_digest") is None:
        return False
    sizes = [cost[name] for name in ("memory_mb", "step_s") if cost.get(name) is not None]
    if not all(is_number(size) and size > 0 for size in sizes):
        return False
    return bool(sizes) or has_values(part or {})


def has_values(part: Mapping[str, Any]) -> bool:
    """Does a quality hold values that can be compared?"""
    for name in KEYS.values():
        given = part.get(name)
        values = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
        if any(is_number(value) for value in values):
            return True
    return False
