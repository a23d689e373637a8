"""Which configs are quarantined: their digest caused a rollback, and nobody has lifted it since."""

from __future__ import annotations

from atftctl.state.layout import Layout
from atftctl.state.sealed_records import read_lines


def reason(layout: Layout, digest: str) -> str:
    """Why this one is; "" where it is not."""
    found = ""
    for line in read_lines(layout.quarantine):
        if digest and line.get("digest") == digest:
            found = f"{line.get('why')} ({line.get('at')}, {line.get('operator')})" if line.get("quarantined") else ""
    return found


def made_by(layout: Layout, digest: str, operation: str) -> bool:
    """Is it quarantined by this operation, and was it not before?"""
    why = ""
    for line in read_lines(layout.quarantine):
        if digest and line.get("digest") == digest:
            if not line.get("quarantined"):
                why = ""
            elif not why:
                why = str(line.get("why"))
    return why.endswith(operation) if operation else False
