"""The figures of a recorded baseline, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.domain.pairing import KEYS, counted
from atftctl.protocol import is_number
from atftctl.protocol.messages import Message, joined, tr


def level(value: float, unit: str = "") -> str:
    """A level of quality: four decimals; two of numbers of 10 and more."""
    number = f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"
    return f"{number} {unit}" if unit else number


def figures(summary: Mapping[str, Any]) -> list[Message]:
    """What a summary (`state.baseline.summary_of`) holds; anything may be in it."""
    texts = []
    if is_number(summary.get("quality")):
        title = str(summary.get("title") or "") or tr("quality")
        value = level(float(summary["quality"]), str(summary.get("unit", "")))
        text = tr("{title} {value}", title=title, value=value)
        pairs, pair_by = summary.get("pairs"), summary.get("pair_by")
        if type(pairs) is int and pair_by in KEYS:
            text = tr("{level} over {pairs}", level=text, pairs=counted(pair_by, pairs))
        texts.append(text)
    if is_number(summary.get("memory_mb")):
        texts.append(tr("{memory:,.0f} MB", memory=float(summary["memory_mb"])))
    if is_number(summary.get("step_s")):
        texts.append(tr("{step:,.0f} ms per step", step=float(summary["step_s"]) * 1000))
    return texts or [joined("", [tr("nothing was measured")])]
