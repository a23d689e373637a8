"""The recorded baseline that later runs are compared with: `.atftctl/baseline.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.host import footprint
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

BASELINE_VERSION = 1
IDENTITY = ("identity", "weights", "predictions")  # hashes of what a RankIC was measured on, and with
HINT = tr("record the baseline again: atftctl baseline record")


def write(layout: Layout, baseline: Mapping[str, Any]) -> None:
    """Write the baseline durably. Raises OSError."""
    footprint.leave(tr("recorded the baseline"))
    write_durably(layout.baseline, sealed_records.plain(baseline, indent=1))


def read_baseline(layout: Layout) -> dict[str, Any] | None:
    """The baseline; None where there is no file. Raises Refused where the file can't be read or is not valid: it must
    not count as missing."""
    try:
        baseline = json.loads(read_bytes(layout.baseline))
    except FileNotFoundError:
        return None
    except (OSError, HostError, ValueError, RecursionError) as error:
        raise Refused(tr("the baseline can't be read: {reason}", reason=reason(error)), hint=HINT) from None
    if not isinstance(baseline, dict):
        raise Refused(tr("the baseline is not valid: it is not a JSON object"), hint=HINT)
    if baseline.get("version") != BASELINE_VERSION:
        version, known = baseline.get("version"), BASELINE_VERSION
        text = tr(
            "the baseline has version {version}; this atftctl reads version {known}", version=version, known=known
        )
        raise Refused(text, hint=HINT)
    if not _is_valid(baseline):
        raise Refused(tr("the baseline is not valid: a value is missing or wrong"), hint=HINT)
    return dict(baseline)


def figures(layout: Layout) -> dict[str, Any]:
    """A summary of the baseline for snapshots; empty where the baseline is missing or not valid."""
    try:
        baseline = sealed_records.try_json(layout.baseline)
        return {
            "recorded": str(baseline["recorded"]),
            "config_digest": str(baseline["config_digest"]),
            "rankic": float(baseline["rankic"]["mean"]),
            "dates": len(baseline["rankic"]["by_date"]),
            "memory_mb": float(baseline["cost"]["memory_mb"]),
            "step_s": float(baseline["cost"]["step_s"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}


def _is_valid(baseline: dict[str, Any]) -> bool:
    """Does it hold every value that later runs are compared with?"""
    try:
        numbers = (
            baseline["cost"]["memory_mb"],
            baseline["cost"]["step_s"],
            *baseline["rankic"]["by_date"].values(),
        )
        texts = (
            *baseline["configs"].values(),
            baseline["config_digest"],
            *(baseline["rankic"][name] for name in IDENTITY),
        )
    except (KeyError, TypeError, AttributeError):
        return False
    are_numbers = all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
    return are_numbers and numbers[0] > 0 and all(text is not None for text in texts)
