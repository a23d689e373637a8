"""Choose the copy of atftctl that runs. After a crash in an operation that was changing our own code, the tree that we
were started from may be a mix of two versions; the private copy that the operation ran from goes on instead.

This imports the standard library only and none of our modules. Whatever the project's state holds, nothing is raised
here, and nothing is waited for.
"""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

MARK = "ATFTCTL_PRIVATE"  # the private copy's folder, in the environment of the process that runs from it
BEFORE = "ATFTCTL_PYTHONPATH"  # the PYTHONPATH before that, for our children
PACKAGES = "ATFTCTL_PACKAGES"  # the folder into which the one-file rescue copy unpacked its packages


def relay() -> None:
    """Run from the private copy, where an open operation needs that; returns otherwise."""
    home = "" if os.environ.get(MARK) else left_open(_project())
    if home:
        go_on_from(Path(home))


def settle_in() -> None:
    """Remove the traces of the private copy from our environment, so that our children don't run from it. The next
    recovery removes the copy once no operation needs it."""
    if os.environ.pop(MARK, ""):
        before = os.environ.pop(BEFORE, "")
        os.environ.pop("PYTHONPATH", None)
        if before:
            os.environ["PYTHONPATH"] = before


def left_open(start: Path) -> str:
    """The private copy that an open, decided operation ran from, in the nearest project at or above `start`; "" for
    none. Its records must be complete, and only we or root may be able to write them and the copy."""
    try:
        folder = next((folder for folder in (start, *start.parents) if _is_project(folder)), None)
        if folder is None or not _ours(folder / ".atftctl") or not _ours(folder / ".atftctl/journal"):
            return ""
        return next(filter(None, map(_home, sorted((folder / ".atftctl/journal").glob("*.commit.json")))), "")
    except OSError:
        return ""


def _home(commit: Path) -> str:
    """The private copy of one decided operation; "" where it has none that may be run."""
    intent = commit.with_name(commit.name.replace(".commit.json", ".intent.json"))
    home = Path(str((_body(intent) or {}).get("tool") or "/"))
    inside = home.parent == commit.parent.parent / "tools" and not home.is_symlink()
    runs = inside and all(map(_ours, (home.parent, home, home / "atftctl")))
    return str(home) if runs and _body(commit) is not None else ""


def _is_project(folder: Path) -> bool:
    return (folder / ".atftctl").is_dir() or any((folder / "runbooks").glob("*.yaml"))


def _ours(folder: Path) -> bool:
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid in (os.geteuid(), 0) and not facts.st_mode & 0o022


def _body(record: Path) -> dict[str, object] | None:
    """The body of a sealed record (see state.sealed_records, which is not imported here); None where it is not
    valid."""
    import hashlib
    import json

    try:
        handle = os.open(record, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & 0o022:
                return None
            value = json.loads(file.read())
        text = json.dumps(value["body"], ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
        if (value["version"], value["sha256"]) != (1, hashlib.sha256(text).hexdigest()):
            return None
        return dict(value["body"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def go_on_from(home: Path) -> NoReturn:
    """Replace this process: run the same command line from the copy at `home`."""
    os.execve(sys.executable, command(sys.argv[1:]), environment(home))  # noqa: S606


def command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs atftctl from a copy, in the environment of that copy."""
    return [sys.executable, "-P", "-m", "atftctl", *arguments]


def environment(home: Path) -> dict[str, str]:
    """Our environment, changed so that a process runs atftctl from the copy at `home`."""
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(home), os.environ.get(PACKAGES), before)))
    return {**os.environ, MARK: str(home), BEFORE: before, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def _project() -> Path:
    """The folder that --project names, else the working folder. A wrong command line is refused later, by its
    parser."""
    arguments = sys.argv[1:]
    arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments  # the rest is another command
    for index, argument in enumerate(arguments):
        if argument == "--project":
            return Path(os.path.realpath("".join(arguments[index + 1 : index + 2])))
        if argument.startswith("--project="):
            return Path(os.path.realpath(argument.partition("=")[2]))
    return Path.cwd()
