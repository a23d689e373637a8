"""What a probe answers: measurements as JSON, or `error` in their place. Imports nothing that takes time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any


def caught(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured, or `error`. An expected end of the trainer says why by its `reason`."""
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - what failed is the finding
        reason = getattr(error, "reason", "")
        return {"error": str(reason) or f"{type(error).__name__}: {error}"}


def write(found: dict[str, Any], out: Path) -> None:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    out.write_text(json.dumps(plain(found)), encoding="utf-8")
