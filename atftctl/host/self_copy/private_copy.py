"""The tool as code on disk, which an operation may be about to change: it never runs from the tree that it changes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from atftctl.host.files.folders import make_dirs
from atftctl.host.process import owner
from atftctl.host.self_copy.relay import go_on_from

LEFT_OUT = ("trainer", "__pycache__")  # the trainer is the project's own, and runs in a process of its own


def package() -> Path:
    return Path(__file__).resolve().parents[2]


def lies_in(root: Path) -> bool:
    return package().is_relative_to(root.resolve())


def go_private(root: Path, tools: Path) -> None:
    """Where our code lies in the project: go on, with the same words, from a copy below `tools`. Returns only where
    that is not needed. The copy outlives a crash: `relay` finds it by the open operation's intent."""
    if private_home() or not lies_in(root):
        return
    home = tools / owner.own_name()
    make_dirs(home, 0o700)
    shutil.copytree(package(), home / package().name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    sys.stdout.flush()
    sys.stderr.flush()
    go_on_from(home)


def private_home() -> str:
    """Where we run from, where that is a private copy."""
    home = package().parent
    return str(home) if home.parent.name == "tools" else ""


def sweep(tools: Path, in_use: set[str]) -> None:
    """Copies whose process has died, and which no open operation names. Best effort."""
    if not tools.is_dir():
        return
    for home in tools.iterdir():
        if not owner.alive(home.name) and str(home) not in in_use and str(home) != private_home():
            shutil.rmtree(home, ignore_errors=True)


def load_all() -> None:
    """Every module of ours but the trainer's, so that none is looked for where it no longer lies."""
    import importlib
    import pkgutil

    for found in pkgutil.walk_packages([str(package())], f"{package().name}."):
        if not found.name.startswith(f"{package().name}.trainer") and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
