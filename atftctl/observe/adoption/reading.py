"""What a look at a project that has no runbook reads: its interpreter, and the beginnings of files. Changes nothing."""

from __future__ import annotations

import csv
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atftctl.domain.adoption import Config, Entry
from atftctl.host.errors import HostError
from atftctl.host.files.reading import read_bytes
from atftctl.observe.configs import read_config

HEAD = 1 << 16  # bytes of a file whose first line is looked at
MOST_BYTES = 1 << 20  # of a Makefile or a project file


def interpreter(root: Path) -> str:
    """The Python of the project: of a virtual environment in it, else of the active one, else that of atftctl."""
    for name in (".venv", "venv", "env"):
        if os.access(root / name / "bin" / "python", os.X_OK):
            return f"{name}/bin/python"
    active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    if active and os.path.realpath(active) != os.path.realpath(sys.prefix) and _runs(f"{active}/bin/python"):
        return f"{active}/bin/python"
    if find_spec("torch") is None and (program := _on_path("python3")):
        return program
    return "{python}"


def _runs(program: str) -> bool:
    return program.isprintable() and os.access(program, os.X_OK)


def _on_path(name: str) -> str:
    """A program of this name on the path, unless it is the Python of atftctl; "" where there is none.

    The folders are compared: the interpreters of all virtual environments lead to the same file.
    """
    import shutil

    program = shutil.which(name)
    return "" if program is None or _folder(program) == _folder(sys.executable) else name


def _folder(program: str) -> str:
    return os.path.realpath(Path(program).parent)


def configs(root: Path, names: Iterable[str]) -> Iterator[Config]:
    for name in names:
        read = read_config(root, name)
        if not read.error and read.data:
            yield Config(name, read.data)


def stays_inside(root: Path, link: str) -> bool:
    """Does a symlink lead to a file of the project?"""
    real = os.path.realpath(root / link)
    return real.startswith(f"{root}/") and Path(real).is_file()


def entries(root: Path, paths: Iterable[str], *, folder: bool = False) -> Iterator[Entry]:
    for path in paths:
        try:
            yield Entry(path, os.lstat(root / path).st_mtime, folder)
        except OSError:
            continue


def head(path: Path, limit: int = HEAD) -> str:
    """The beginning of a file; "" where it can't be read."""
    try:
        return read_bytes(path, limit).decode(errors="replace")
    except (OSError, HostError):
        return ""


def header(path: Path) -> tuple[str, ...]:
    """The column names of a CSV file."""
    try:
        columns = next(csv.reader([head(path).partition("\n")[0]]), [])
    except csv.Error:
        return ()
    return tuple(name.strip() for name in columns if name.isprintable())


def keys(path: Path) -> tuple[str, ...]:
    """The keys of the first line of a file of JSON lines."""
    try:
        record = json.loads(head(path).partition("\n")[0])
    except (ValueError, RecursionError):
        return ()
    return tuple(name for name in record if name.isprintable()) if isinstance(record, dict) else ()


def toml_tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(head(path, MOST_BYTES))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(head(path, MOST_BYTES) or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
