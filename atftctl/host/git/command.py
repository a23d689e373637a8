"""Run git's own commands: with the rights of the project's owner, a time limit, and in the project's repository only.

A command that reads (`read`, `text`, `read_limited`) runs no program that a repository's config names, and depends on
no setting of the user. A command that changes the repository (`change`) runs its hooks and filters."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.process import rights
from atftctl.protocol.messages import joined, tr

LIMIT_S = 20.0  # seconds that a command which reads may take
CHANGE_LIMIT_S = 120.0
ERROR_LINES = 6  # of git's own error text that a message quotes
ELSEWHERE = (  # git rev-parse --local-env-vars
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
)
FIXED = (  # the configuration of a command that reads
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.quotePath=true",
    "core.pager=cat",
    "color.ui=false",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "diff.orderFile=/dev/null",
    "diff.renames=false",
    "diff.relative=false",
    "status.renames=false",
    "protocol.allow=never",
    "log.showSignature=false",
)
DURABLE = ("-c", "core.fsmonitor=false", "-c", "core.fsync=all")  # the options of a command that changes something
FILTER = re.compile(r"filter\.(?P<name>.*)\.(clean|smudge|process|required)", re.IGNORECASE | re.DOTALL)


class GitError(HostError):
    """A git command failed; the message quotes git's own error text."""


def read(root: Path, *arguments: str, limit_s: float = LIMIT_S, stdin: bytes = b"") -> bytes:
    """The standard output of a git command that reads. Raises GitError."""
    return _execute(root, [*_read_options(root), *arguments], limit_s, stdin, _read_environment(root))


def text(root: Path, *arguments: str) -> str:
    """As `read`, but as text without the last newline. Raises GitError."""
    return os.fsdecode(read(root, *arguments)).strip("\n")


def read_limited(root: Path, *arguments: str, limit: int) -> bytes | None:
    """As `read`, but None where the output is longer than `limit` bytes, or the command fails. Path arguments may be
    patterns."""
    try:
        child = subprocess.Popen(
            ["git", *_read_options(root), *arguments],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_read_environment(root, literal=False),
            **rights.options(rights.user_of(root)),
        )
    except (OSError, subprocess.SubprocessError, GitError):
        return None
    timer = threading.Timer(LIMIT_S, child.kill)
    timer.start()
    try:
        with child:
            assert child.stdout is not None
            output = child.stdout.read(limit + 1)
            if len(output) > limit:
                child.kill()
    finally:
        timer.cancel()
    return output if child.returncode == 0 else None


def change(root: Path, *arguments: str, limit_s: float = CHANGE_LIMIT_S, stdin: bytes = b"") -> bytes:
    """The standard output of a git command that changes the repository, or runs its filters. Objects and references are
    durable when it returns. Raises GitError."""
    return _execute(root, [*DURABLE, *arguments], limit_s, stdin, _environment(root))


@cache
def without_filters(root: Path) -> tuple[tuple[str, str], ...]:
    """The settings (key, value) that keep the filters of this repository from running, whatever their names. Raises
    GitError."""
    output = _execute(root, ["config", "--list", "--name-only", "-z"], LIMIT_S, b"", _environment(root))
    names = os.fsdecode(output).split("\0")
    filters = {match["name"] for name in names if (match := FILTER.fullmatch(name))}
    values = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return tuple((f"filter.{name}.{key}", value) for name in sorted(filters) for key, value in values.items())


def forget() -> None:
    """Forget what is cached, in a process that goes on as another user."""
    without_filters.cache_clear()


def _execute(root: Path, arguments: Sequence[str], limit_s: float, stdin: bytes, env: Mapping[str, str]) -> bytes:
    """Run one git command in this folder; return its standard output. Raises GitError."""
    command = _command_name(arguments)
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            timeout=limit_s,
            check=False,
            input=stdin,
            env=env,
            **rights.options(rights.user_of(root)),
        )
    except FileNotFoundError:
        raise GitError(
            tr("git is not installed here") if root.is_dir() else tr("{path} is not a folder", path=root)
        ) from None
    except subprocess.TimeoutExpired:
        late = tr("git {command} did not end within {limit_s:g} s", command=command, limit_s=limit_s)
        raise GitError(late) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise GitError(tr("git can't be run: {reason}", reason=str(error))) from None
    if done.returncode:
        raise GitError(_failure(command, done))
    return done.stdout


def _command_name(arguments: Sequence[str]) -> str:
    """The name of the git command, after the options `-c key=value`."""
    return next((word for word in arguments if not word.startswith("-") and "=" not in word), arguments[0])


def _failure(command: str, done: subprocess.CompletedProcess[bytes]) -> str:
    """The first lines of git's own error text; the exit code where there is none."""
    lines = os.fsdecode(done.stderr or done.stdout).strip().splitlines()
    if not lines:
        return tr("git {command} failed: exit {code}", command=command, code=done.returncode)
    output = joined("; ", [line.strip() for line in lines[:ERROR_LINES]])
    return tr("git {command}: {output}", command=command, output=output)


def _read_options(root: Path) -> list[str]:
    """The fixed configuration. Filters are switched off here too: git before 2.31 does not read GIT_CONFIG_COUNT."""
    filters = [f"{key}={value}" for key, value in without_filters(root) if "=" not in key]
    return [option for setting in (*FIXED, *filters) for option in ("-c", setting)]


def _read_environment(root: Path, *, literal: bool = True) -> dict[str, str]:
    """The environment of a command that reads: no filter of the repository, and no connection to another one."""
    settings = without_filters(root)
    named = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    for number, (key, value) in enumerate(settings):
        named |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return _environment(root, literal=literal) | named


def _environment(root: Path, *, literal: bool = True) -> dict[str, str]:
    """Our environment without the variables by which a hook or a shell names another repository. `literal`: path
    arguments are no patterns."""
    ours = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    fixed = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
    paths = {"GIT_LITERAL_PATHSPECS": "1"} if literal else {}
    return rights.environment({**ours, **fixed, **paths}, rights.user_of(root))
