"""The tool as code on disk, which an operation may be about to change: it never runs from the tree that it changes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

MARK = "ATFTCTL_PRIVATE"  # the private copy's folder, in the environment of the process that runs from it
BEFORE = "ATFTCTL_PYTHONPATH"  # what PYTHONPATH was, for our children
LEFT_OUT = ("trainer", "__pycache__")  # the trainer is the project's own, and runs in a process of its own


def package() -> Path:
    return Path(__file__).resolve().parents[1]


def lies_in(root: Path) -> bool:
    return package().is_relative_to(root.resolve())


def go_private(root: Path) -> None:
    """Where our code lies in the project: go on, with the same words, from a copy elsewhere. Returns only where that is
    not needed."""
    if not lies_in(root):
        return
    home = Path(tempfile.mkdtemp(prefix="atftctl-private-"))
    shutil.copytree(package(), home / package().name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(home), before)))
    env = {**os.environ, MARK: str(home), BEFORE: before, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", "atftctl", *sys.argv[1:]], env)  # noqa: S606


def settle_in() -> None:
    """In the process that runs from a copy: our children see nothing of it, and it goes when we end."""
    home = os.environ.pop(MARK, "")
    if not home:
        return
    before = os.environ.pop(BEFORE, "")
    os.environ.pop("PYTHONPATH", None)
    if before:
        os.environ["PYTHONPATH"] = before
    import atexit

    atexit.register(shutil.rmtree, home, ignore_errors=True)


def load_all() -> None:
    """Every module of ours but the trainer's, so that none is looked for where it no longer lies."""
    import importlib
    import pkgutil

    for found in pkgutil.walk_packages([str(package())], f"{package().name}."):
        if not found.name.startswith(f"{package().name}.trainer") and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
