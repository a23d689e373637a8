"""Recording what `verify` and `baseline record` found: the tool's own files, written durably."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.host import footprint
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.reading import read_bytes
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def write(layout: Layout, baseline: Mapping[str, Any]) -> None:
    footprint.leave("recorded the baseline")
    write_durably(layout.baseline, sealed_records.plain(baseline, indent=1))


BASELINE_VERSION = 1
IDENTITY = ("identity", "weights", "predictions")  # of what a RankIC was measured on, and with


def read_baseline(layout: Layout) -> dict[str, Any] | None:
    """None where there is none. Raises Refused for one that can't be read: it must not pass as none."""
    try:
        found = json.loads(read_bytes(layout.baseline))
    except FileNotFoundError:
        return None
    except (OSError, HostError, ValueError, RecursionError) as error:
        raise Refused(f"the baseline can't be read: {error}", hint="record it again: atftctl baseline record") from None
    if not isinstance(found, dict) or found.get("version") != BASELINE_VERSION or not _is_baseline(found):
        version = found.get("version") if isinstance(found, dict) else None
        raise Refused(
            f"the baseline is not whole, or of another version ({version})",
            hint="record it again: atftctl baseline record",
        )
    return dict(found)


def _is_baseline(found: dict[str, Any]) -> bool:
    """Does it hold the figures that later runs are held against?"""
    try:
        figures = (found["cost"]["memory_mb"], found["cost"]["step_s"], *found["rankic"]["by_date"].values())
        texts = (*found["configs"].values(), found["config_digest"], *(found["rankic"][name] for name in IDENTITY))
    except (KeyError, TypeError, AttributeError):
        return False
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in figures)
    return numbers and figures[0] > 0 and all(text is not None for text in texts)


def figures(layout: Layout) -> dict[str, Any]:
    """The recorded baseline in short; a missing or broken one is no obstacle to a snapshot."""
    try:
        found = sealed_records.try_json(layout.baseline)
        return {
            "recorded": str(found["recorded"]),
            "config_digest": str(found["config_digest"]),
            "rankic": float(found["rankic"]["mean"]),
            "dates": len(found["rankic"]["by_date"]),
            "memory_mb": float(found["cost"]["memory_mb"]),
            "step_s": float(found["cost"]["step_s"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}
