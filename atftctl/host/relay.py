"""Which copy of the tool is to run. Standard library only, and nothing of ours: where a crash left an operation open
that was changing our own code, the tree that we were started from may be half of two versions, and the private copy
that the operation ran from goes on."""

import os
import sys
from pathlib import Path
from typing import NoReturn

MARK = "ATFTCTL_PRIVATE"  # the private copy's folder, in the environment of the process that runs from it
BEFORE = "ATFTCTL_PYTHONPATH"  # what PYTHONPATH was, for our children


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
    """The private copy that a decided operation of the project at `start`, or above it, ran from; "" for none."""
    for folder in (start, *start.parents):
        journal = folder / ".atftctl" / "journal"
        if not journal.is_dir():
            continue
        for commit in journal.glob("*.commit.json"):
            import json

            try:
                intent = commit.with_name(commit.name.replace(".commit.json", ".intent.json"))
                home = str(json.loads(intent.read_bytes())["body"].get("tool") or "")
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
            if home and Path(home, "atftctl", "__main__.py").is_file():
                return home
        return ""
    return ""


def go_on_from(home: Path) -> NoReturn:
    """The same words, run by the copy at `home`."""
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, (str(home), before)))
    env = {**os.environ, MARK: str(home), BEFORE: before, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "atftctl", *sys.argv[1:]], env)  # noqa: S606


def _project() -> Path:
    """Where --project points, else here; words that are wrong are for the command line to refuse."""
    words = sys.argv[1:]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--project":
            return Path(following).absolute()
        if word.startswith("--project="):
            return Path(word.partition("=")[2]).absolute()
    return Path.cwd()
