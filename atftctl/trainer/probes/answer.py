"""The answer of a probe: measurements as JSON, or `error` in place of them. Imports nothing that takes time."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

OURS = "atftctl."


def measure_or_error(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the measurements, or {"error": text}. An error of ours has a text for people; another one is shown with
    its type, without which "'loss'" says nothing."""
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - the failure is the result
        kind = type(error)
        text = getattr(error, "reason", "") or (error if kind.__module__.startswith(OURS) else "")
        return {"error": str(text) or f"{kind.__name__}: {error}"}


def write_answer(answer: dict[str, Any], out: Path) -> None:
    """Write the answer as JSON, whole or not at all; numbers that are not finite become strings."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    text = json.dumps(plain(answer))
    if out.exists() and not out.is_file():  # /dev/null
        out.write_text(text, encoding="utf-8")
        return
    temp = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    temp.write_text(text, encoding="utf-8")
    temp.replace(out)
