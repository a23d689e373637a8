"""Which command lines are those of the trainer. The interpreter's path, version and options are ignored."""

from __future__ import annotations

import re
from collections.abc import Sequence

PYTHON = re.compile(r"(python|pypy)(\d+(\.\d+)*)?w?")
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash")
WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")  # options of Python that a value follows
LONGEST = 8192  # characters of a command line that are searched


def plain(words: Sequence[str], root: str) -> list[str]:
    """The words of a command line as they are compared: `/usr/bin/python3.11 -u ./train.py` becomes `python train.py`.
    `root`: the project's folder, which is left out of paths in it."""
    if not words:
        return []
    name = words[0].rpartition("/")[2]
    rest = list(words[1:])
    if PYTHON.fullmatch(name):
        name, rest = "python", _without_options(rest)
    first = name if name == "python" or name in SHELLS else _path(words[0], root)
    return [first, *(_path(word, root) for word in rest)]


def _without_options(words: list[str]) -> list[str]:
    """The words after those of Python's own options that do not say what is run."""
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c", "-"):
        if words[0].startswith("-m") and len(words[0]) > 2:  # -mpackage.module
            return ["-m", words[0][2:], *words[1:]]
        words = words[2:] if words[0] in WITH_VALUE else words[1:]
    return words


def _path(word: str, root: str) -> str:
    return word.removeprefix(f"{root}/").removeprefix("./")


def signature(command: Sequence[str], root: str) -> list[str]:
    """The words that identify the trainer's command: those before the first option or placeholder, without Python
    itself."""
    words = plain(["python" if word == "{python}" else word for word in command], root)
    varying = [index for index, word in enumerate(words) if "{" in word or word.startswith("--")]
    words = words[: varying[0]] if varying else words
    return words[1:] if words[:1] == ["python"] else words


def runs(words: Sequence[str], wanted: Sequence[str], root: str) -> bool:
    """Does this command line run the command with the signature `wanted`? A script is run by Python or a shell, or by
    itself; an editor that has it open is none."""
    compared = plain(words, root)
    size = len(wanted)
    starts = [at for at in range(len(compared) - size + 1) if compared[at : at + size] == list(wanted)]
    if not wanted or not starts:
        return False
    return starts[0] == 0 or wanted[0].startswith("-") or compared[0] == "python" or compared[0] in SHELLS


def text(words: Sequence[str], root: str) -> str:
    """The command line as patterns are searched in it, as far as it is searched."""
    return " ".join(plain(words, root))[:LONGEST]
