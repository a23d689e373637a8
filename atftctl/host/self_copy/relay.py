"""Which copy of the tool is to run. Standard library only, and nothing of ours: where a crash left an operation open
that was changing our own code, the tree that we were started from may be half of two versions, and the private copy
that the operation ran from goes on.

Whatever stands in the project's state, nothing is raised here, and nothing is waited for."""

import os
import stat
import sys
from pathlib import Path
from typing import NoReturn

MARK = "ATFTCTL_PRIVATE"  # the private copy's folder, in the environment of the process that runs from it
BEFORE = "ATFTCTL_PYTHONPATH"  # what PYTHONPATH was, for our children
PACKAGES = (
    "ATFTCTL_PACKAGES"  # where the one-file rescue copy unpacked the packages; the interpreter knows none of them
)


def relay() -> None:
    """Go on from the private copy, where there is one that has to."""
    home = "" if os.environ.get(MARK) else left_open(_project())
    if home:
        go_on_from(Path(home))


def settle_in() -> None:
    """In the process that runs from a copy: our children see nothing of it. It goes when no operation needs it: by the
    sweep of the next recovery."""
    if os.environ.pop(MARK, ""):
        before = os.environ.pop(BEFORE, "")
        os.environ.pop("PYTHONPATH", None)
        if before:
            os.environ["PYTHONPATH"] = before


def left_open(start: Path) -> str:
    """The private copy that a decided operation of the project at `start` ran from; "" for none. The project is the
    nearest one; its records must be whole, and they and the copy ours or root's alone to write."""
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
    home = Path(str((_whole(intent) or {}).get("tool") or "/"))
    inside = home.parent == commit.parent.parent / "tools" and not home.is_symlink()
    runs = inside and all(map(_ours, (home.parent, home, home / "atftctl")))
    return str(home) if runs and _whole(commit) is not None else ""


def _is_project(folder: Path) -> bool:
    return (folder / ".atftctl").is_dir() or any((folder / "runbooks").glob("*.yaml"))


def _ours(folder: Path) -> bool:
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid in (os.geteuid(), 0) and not facts.st_mode & 0o022


def _whole(record: Path) -> dict[str, object] | None:
    """The body of a sealed record (state.sealed_records, which is not imported here); None for what is not whole."""
    import hashlib
    import json

    try:
        handle = os.open(record, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & 0o022:
                return None
            found = json.loads(file.read())
        text = json.dumps(found["body"], ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
        return (
            dict(found["body"])
            if (found["version"], found["sha256"]) == (1, hashlib.sha256(text).hexdigest())
            else None
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def go_on_from(home: Path) -> NoReturn:
    """The same words, run by the copy at `home`."""
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(home), os.environ.get(PACKAGES), before)))
    env = {**os.environ, MARK: str(home), BEFORE: before, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "atftctl", *sys.argv[1:]], env)  # noqa: S606


def _project() -> Path:
    """Where --project points, else here; words that are wrong are for the command line to refuse."""
    words = sys.argv[1:]
    words = words[: words.index("--")] if "--" in words else words  # what follows is for others
    for at, word in enumerate(words):
        if word == "--project":
            return Path(os.path.realpath("".join(words[at + 1 : at + 2])))
        if word.startswith("--project="):
            return Path(os.path.realpath(word.partition("=")[2]))
    return Path.cwd()
