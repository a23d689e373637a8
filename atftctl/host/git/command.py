"""Git's own commands, run so that no configuration of the project takes part."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.process import rights

LIMIT_S = 20.0
ELSEWHERE = (  # git rev-parse --local-env-vars
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS",
    "GIT_DIR", "GIT_EXTERNAL_DIFF", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip


FIXED = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=true", "core.pager=cat", "color.ui=false",
    "diff.noprefix=false", "diff.mnemonicPrefix=false", "diff.orderFile=/dev/null", "diff.renames=false",
    "diff.relative=false", "status.renames=false", "protocol.allow=never", "log.showSignature=false",
)  # fmt: skip


FILTER = re.compile(r"filter\.(?P<name>.*)\.(clean|smudge|process|required)", re.IGNORECASE | re.DOTALL)


class GitError(HostError):
    """Git said no; the words are its own."""


def read(root: Path, *words: str, limit_s: float = LIMIT_S, said: bytes = b"") -> bytes:
    """The standard output of a reading command. `said`: to its standard input. Raises GitError."""
    return execute(root, read_options(root), words, limit_s, said, env=read_environment(root))


def read_options(root: Path) -> list[str]:
    """The fixed configuration; filters too, for git before 2.31, which does not look into its environment for them."""
    filters = [f"{key}={value}" for key, value in without_filters(root) if "=" not in key]
    return [word for setting in (*FIXED, *filters) for word in ("-c", setting)]


def read_environment(root: Path, *, literal: bool = True) -> dict[str, str]:
    """The environment of a command that reads: no filter of the repository, and no transport to anywhere."""
    settings = without_filters(root)
    named = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    for number, (key, value) in enumerate(settings):
        named |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment(root, literal=literal) | named


def text(root: Path, *words: str) -> str:
    """As `read`, as text without the last newline. Raises GitError."""
    return os.fsdecode(read(root, *words)).strip("\n")


def execute(
    root: Path,
    options: Sequence[str],
    words: Sequence[str],
    limit_s: float,
    said: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> bytes:
    """One command of git in this folder, with the rights of its owner; its standard output. Raises GitError."""
    name = next((word for word in words if not word.startswith("-") and "=" not in word), words[0])
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            ["git", *options, *words],
            cwd=root,
            capture_output=True,
            timeout=limit_s,
            check=False,
            input=said,
            env=env or environment(root),
            **rights.options(rights.user_of(root)),
        )
    except FileNotFoundError:
        raise GitError("git is not installed here" if root.is_dir() else f"{root} is no folder") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {name} was not done within {limit_s:g} s") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise GitError(f"git can't be run: {error}") from None
    if done.returncode:
        lines = os.fsdecode(done.stderr or done.stdout).strip().splitlines()
        raise GitError(f"git {name}: {'; '.join(line.strip() for line in lines[:6]) or f'exit {done.returncode}'}")
    return done.stdout


@cache
def without_filters(root: Path) -> tuple[tuple[str, str], ...]:
    """Settings that keep the repository's filters from running, whatever their names. Raises GitError."""
    names = os.fsdecode(execute(root, (), ("config", "--list", "--name-only", "-z"), LIMIT_S)).split("\0")
    filters = {match["name"] for name in names if (match := FILTER.fullmatch(name))}
    values = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return tuple((f"filter.{name}.{key}", value) for name in sorted(filters) for key, value in values.items())


def forget() -> None:
    """For a process that goes on as another one."""
    without_filters.cache_clear()


def environment(root: Path, *, literal: bool = True) -> dict[str, str]:
    """The project's repository and no other, whatever a hook or a shell has said of another."""
    ours = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    fixed = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
    paths = {"GIT_LITERAL_PATHSPECS": "1"} if literal else {}
    return rights.environment({**ours, **fixed, **paths}, rights.user_of(root))
