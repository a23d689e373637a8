"""Which Python packages are installed, and who requires them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from atftctl.domain.steps import Package

NAME = re.compile(r"[A-Za-z0-9._-]+")


def plain(name: str) -> str:
    """As PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def removable(names: Iterable[str]) -> tuple[tuple[Package, ...], dict[str, str]]:
    """Those of these that are installed and that nothing else requires; and those that stay, with who requires them."""
    from importlib import metadata

    versions = {plain(one.metadata["Name"] or ""): one.version for one in metadata.distributions()}
    wanted = {plain(name) for name in names if plain(name) in versions}
    kept: dict[str, str] = {}
    while True:
        users = _required_by(wanted)
        if not users:
            break
        kept |= {name: f"required by {', '.join(sorted(by))}" for name, by in users.items()}
        wanted -= users.keys()
    return tuple(Package(name, versions[name]) for name in sorted(wanted)), kept


def _required_by(names: set[str]) -> dict[str, set[str]]:
    """By name, installed packages that are not among them and need it; extras that nobody asked for do not count."""
    from importlib import metadata

    found: dict[str, set[str]] = {}
    for one in metadata.distributions():
        user = plain(one.metadata["Name"] or "")
        for line in one.requires or ():
            match = NAME.match(line)
            if match and plain(match[0]) in names and user not in names and "extra ==" not in line:
                found.setdefault(plain(match[0]), set()).add(user)
    return found
