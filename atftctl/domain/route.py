"""The ways on which people are told about an incident."""

from __future__ import annotations

import re
from typing import Literal

from atftctl.domain.record import record

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
ADDRESS = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]{0,99})", re.ASCII)


@record
class Route:
    """One way to tell people. `url`: `env:NAME`, the environment variable that holds the address, as apprise writes it:
    an address holds a password or a token. `severity`: the least severity of an incident that is told on this route."""

    url: str
    severity: Severity = "warning"
    language: Literal["en", "ja"] = "en"

    @property
    def variable(self) -> str:
        """The environment variable that holds the address; "" where `url` names none."""
        match = ADDRESS.fullmatch(self.url)
        return match[1] if match else ""


def reaches(severity: Severity, least: Severity) -> bool:
    """Is this severity at least as high as the other one?"""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)
