"""The generation of a trainer: the number of its start. Read by both sides, with the standard library only.

Numbers begin with 1. 0 means that the number is not known, as for a trainer that was started by hand.

A trainer stages new files in a folder of its generation, `run/N`, and renames them from there. A target on another file
system, or in a folder with other rights, is staged in the folder `.atftctl-run-N` beside it. When a newer trainer is
started, all these folders are renamed: a late rename by an older trainer then fails in the kernel. Each folder holds
the file MARK, so that a folder that somebody else has made is never renamed, and git ignores it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from atftctl.protocol import COUNTER, GENERATION, GENERATION_ROOT, STAGING

LARGEST = 999_999_999
LONGEST = 64  # bytes that are read of the counter's file, or of a mark
NUMBER = re.compile(r"[1-9]\d{0,8}")
BESIDE = ".atftctl-run-"  # the beginning of the name of a folder beside a target
FENCED = ".fenced"  # the end of the name of a renamed folder; a further one gets a number after it
MARK = ".gitignore"
MARK_TEXT = b"# atftctl: unfinished files of one trainer\n*\n"
FOLDER = re.compile(rf"(?:{STAGING}/|(?:.*/)?{re.escape(BESIDE)})(?:0|[1-9]\d{{0,8}})({re.escape(FENCED)}(\.\d+)?)?")
TEMPORARY = re.compile(r"\..+\.tmp")  # the names of unfinished files


def parse(text: str) -> int:
    """The number that a text holds, with or without a line break; 0 where it holds no number from 1 to LARGEST."""
    text = text.removesuffix("\n")
    return int(text) if text.isascii() and NUMBER.fullmatch(text) else 0


def is_number(value: object) -> TypeGuard[int]:
    """Is this the number of a generation?"""
    return type(value) is int and 1 <= value <= LARGEST


def marks(root: Path, number: int) -> dict[str, str]:
    """The environment variables that hand a number of this run folder over to a trainer."""
    return {GENERATION: str(number), GENERATION_ROOT: str(root.resolve())}


def own(environment: Mapping[str, str], root: Path) -> int:
    """The number that this process was given when it was started; 0 where it was given none, or one of another run
    folder than `root`: a script that was started with a number may train in several."""
    given = environment.get(GENERATION_ROOT, "")
    return 0 if given and _is_another(Path(given), root) else parse(environment.get(GENERATION, ""))


def _is_another(folder: Path, root: Path) -> bool:
    """Is this another folder? Not where it can't be found, as in a container that has the run folder elsewhere."""
    try:
        return not folder.samefile(root)
    except (OSError, ValueError):
        return False


def newest(root: Path) -> int:
    """The number of the newest start in this run folder, by the counter; 0 where that can't be read, or somebody else
    may have written it."""
    try:
        handle = os.open(root / COUNTER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        trusted = _is_trusted(os.fstat(handle), root)
        return parse(os.read(handle, LONGEST).decode("ascii", "replace")) if trusted else 0
    except OSError:
        return 0
    finally:
        os.close(handle)


def _is_trusted(facts: os.stat_result, root: Path) -> bool:
    """Is this a regular file of root, of this user or of the owner of the run folder, which not everybody can write?"""
    owners = (0, os.geteuid(), root.stat().st_uid)
    return stat.S_ISREG(facts.st_mode) and not facts.st_mode & stat.S_IWOTH and facts.st_uid in owners


def fenced(folder: Path) -> bool:
    """Was a folder of this name renamed because a newer trainer was started, or because this one counts as stopped?"""
    return os.path.lexists(f"{folder}{FENCED}")


def is_mark(data: bytes) -> bool:
    """Is this the content of a mark?"""
    return data == MARK_TEXT


def is_begun_mark(data: bytes) -> bool:
    """Is this the content of a mark, or the beginning of one whose writing was cut short by a crash?"""
    return bool(data) and MARK_TEXT.startswith(data)


def is_folder(path: str) -> bool:
    """May this path, relative to the run folder, be that of a generation's folder, also of a renamed one?"""
    return bool(FOLDER.fullmatch(path))
