"""Which Python packages are installed, and which others require them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from atftctl.domain.code_steps import Package
from atftctl.protocol.messages import joined, tr

NAME = re.compile(r"[A-Za-z0-9._-]+")


def plain(name: str) -> str:
    """The name normalized as in PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def removable(names: Iterable[str]) -> tuple[tuple[Package, ...], dict[str, str]]:
    """(packages to uninstall, packages to keep with the reason), of the installed packages with these names. A package
    is kept where another one requires it."""
    from importlib import metadata

    versions = {plain(package.metadata["Name"] or ""): package.version for package in metadata.distributions()}
    wanted = {plain(name) for name in names if plain(name) in versions}
    kept: dict[str, str] = {}
    while True:
        users = _required_by(wanted)
        if not users:
            break
        kept |= {name: tr("required by {names}", names=joined(", ", sorted(by))) for name, by in users.items()}
        wanted -= users.keys()
    return tuple(Package(name, versions[name]) for name in sorted(wanted)), kept


def _required_by(names: set[str]) -> dict[str, set[str]]:
    """By name, the other installed packages that require it. Optional requirements (extras) don't count."""
    from importlib import metadata

    users: dict[str, set[str]] = {}
    for package in metadata.distributions():
        user = plain(package.metadata["Name"] or "")
        for line in package.requires or ():
            match = NAME.match(line)
            if match and plain(match[0]) in names and user not in names and "extra ==" not in line:
                users.setdefault(plain(match[0]), set()).add(user)
    return users
