"""A private copy of atftctl's own code: an operation that changes the tree which holds this code runs from the copy."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from atftctl.host.files.folders import make_dirs
from atftctl.host.process import owner
from atftctl.host.self_copy.relay import go_on_from

PROJECTS_OWN = ("trainer", "hooks")  # run in the project's training; they import PyTorch and its frameworks
LEFT_OUT = ("trainer", "__pycache__")  # the trainer belongs to the project and runs in a process of its own


def package() -> Path:
    """The folder of the package atftctl that this process runs."""
    return Path(__file__).resolve().parents[2]


def lies_in(root: Path) -> bool:
    """Is our code inside this project?"""
    return package().is_relative_to(root.resolve())


def go_private(root: Path, tools: Path) -> None:
    """Where our code is inside the project: copy it into a folder below `tools` and run the same command line from the
    copy. Returns only where that is not needed. After a crash `relay` finds the copy by the operation's intent."""
    if private_home() or not lies_in(root):
        return
    home = tools / owner.own_name()
    copy_to(home)
    sys.stdout.flush()
    sys.stderr.flush()
    go_on_from(home)


def copy_to(home: Path, left_out: tuple[str, ...] = LEFT_OUT) -> None:
    """Copy our code, except for what matches `left_out`, into the new folder `home`. Raises OSError."""
    make_dirs(home, 0o700)
    shutil.copytree(package(), home / package().name, ignore=shutil.ignore_patterns(*left_out))


def private_home() -> str:
    """The folder of the private copy that this process runs from; "" where it runs from none."""
    home = package().parent
    return str(home) if home.parent.name == "tools" else ""


def sweep(tools: Path, in_use: set[str]) -> None:
    """Remove the copies whose process has ended, except those `in_use` by an open operation. Errors are ignored."""
    if not tools.is_dir():
        return
    for home in tools.iterdir():
        if not owner.alive(home.name) and str(home) not in in_use and str(home) != private_home():
            shutil.rmtree(home, ignore_errors=True)


def follow(old: Path, new: Path) -> None:
    """The folder `old` that holds our private copy was renamed to `new`: import the rest of our modules from there."""
    import importlib

    def moved(entries: list[str]) -> list[str]:
        return [entry.replace(f"{old}/", f"{new}/", 1) for entry in entries]

    sys.path[:] = moved(sys.path)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package().name and hasattr(module, "__path__"):
            module.__path__ = moved(list(module.__path__))
    importlib.invalidate_caches()


def load_all(enough: Callable[[], bool] = lambda: False) -> None:
    """Import every module of atftctl except those that run in a training, before an operation changes or removes their
    files. One that can't be imported, since it needs a package that is missing, is left out. `enough`: asked before
    each; True ends it."""
    import pkgutil

    for top in pkgutil.iter_modules([str(package())], f"{package().name}."):
        name = top.name.partition(".")[2]
        if name not in (*PROJECTS_OWN, "__main__"):
            load([name])
            for module in pkgutil.walk_packages([str(package() / name)], f"{top.name}.") if top.ispkg else ():
                if enough():
                    return
                load([module.name.partition(".")[2]])


def load(names: Sequence[str]) -> None:
    """Import these modules of atftctl; one that can't be imported, since it needs a package that is missing, is left
    out."""
    import importlib

    for name in names:
        with suppress(ImportError):
            importlib.import_module(f"{package().name}.{name}")
