"""Run a command to its end, from an argument list, with a time limit and without a shell."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from atftctl.host.process import rights
from atftctl.host.process.child import started
from atftctl.host.process.inherited_state import clean_child
from atftctl.protocol.messages import tr

PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Done:
    """How a command ended. `code`: its exit status; None where it exceeded its time limit and was killed with its
    process group. `output`: standard output and error."""

    code: int | None
    output: str

    @property
    def last_line(self) -> str:
        """The last line of its output, or a message that there was none."""
        return next((line for line in reversed(self.output.splitlines()) if line.strip()), tr("no output"))

    @property
    def ended(self) -> str:
        """Its exit status as text ("exit 1"), or that it exceeded its time limit."""
        return tr("the time limit was exceeded") if self.code is None else tr("exit {code}", code=self.code)


def limited(memory_limit_mb: int, *, die_with: int = 0) -> Callable[[], None]:
    """A function for the child to call between fork and exec: it resets all signals and sets RLIMIT_DATA, which its own
    children inherit too. 0: no limit. `die_with`: the pid of its parent, with which the kernel kills it; 0 for none."""
    import resource

    prctl = load_prctl() if die_with else None

    def limit() -> None:
        clean_child()
        if memory_limit_mb:
            size = memory_limit_mb << 20
            resource.setrlimit(resource.RLIMIT_DATA, (size, size))
        if prctl:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != die_with:
                os._exit(1)

    return limit


def load_prctl() -> Callable[..., int] | None:
    """The system call, loaded before a fork; None where there is none."""
    import ctypes

    with suppress(OSError, AttributeError):
        return cast(Callable[..., int], ctypes.CDLL(None).prctl)
    return None


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit_s: float, memory_limit_mb: int = 0) -> Done:
    """Run a command with the rights of the owner of `cwd`. After `limit_s` seconds its whole process group is killed. A
    command that can't be started has the exit status 127. Raises nothing."""
    quiet, pipe, both = subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT
    prepare = limited(memory_limit_mb)
    try:
        child = started(argv, cwd=cwd, env=env, stdin=quiet, stdout=pipe, stderr=both, prepare=prepare)
    except OSError as error:
        return Done(127, rights.not_started(argv[0], error, rights.user_of(cwd)))
    try:
        output, _ = child.communicate(timeout=limit_s)
        return Done(child.returncode, output.decode("utf-8", "replace"))
    except subprocess.TimeoutExpired:
        return Done(None, tr("the command did not end within {limit_s:g} s", limit_s=limit_s))
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
