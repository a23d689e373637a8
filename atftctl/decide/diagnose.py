"""Naming what went wrong, from the trainer's own typed events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def cause(event: Mapping[str, Any]) -> str:
    """Why it died, from its own last word; without one, only that nobody knows. A bare kill proves no out-of-memory."""
    if not event:
        return "it left no word: killed, or it never got to its first event"
    last = event.get("step")
    step = last if isinstance(last, int) else 0
    if event["event"] == "oom":
        words = f"out of memory at step {step + 1}: {str(event.get('message', ''))[:120]}"
        return f"{words} → atftctl rollback --symptom oom"
    if event["event"] == "anomaly":
        words = f"{event.get('quantity')} was {event.get('value')} at step {step + 1}"
        return f"{words} → atftctl rollback --symptom divergence"
    if event["event"] == "stopped":
        return f"it ended by itself: {str(event.get('reason', ''))[:200]} (exit {event.get('exit_code')})"
    return f"it left no word after {event['event']} at step {step}: killed from outside?"
