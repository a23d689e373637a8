"""Run a command to its end: an argument list, a time limit, no shell."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.errors import reason
from atftctl.host.process import rights
from atftctl.host.process.inherited_state import clean_child


@dataclass(frozen=True)
class Done:
    """`code` is None where the time was up; its whole process group was killed then."""

    code: int | None
    output: str

    @property
    def last_line(self) -> str:
        """What it said last, or that it said nothing."""
        return next((line for line in reversed(self.output.splitlines()) if line.strip()), "it said nothing")

    @property
    def ended(self) -> str:
        """ "exit 1", or that the time was up."""
        return "the time was up" if self.code is None else f"exit {self.code}"


def limited(memory_limit_mb: int) -> Callable[[], None]:
    """For the child, between fork and exec: signals as by default, and RLIMIT_DATA, which holds for all that it
    starts."""
    import resource

    def limit() -> None:
        clean_child()
        if memory_limit_mb:
            size = memory_limit_mb << 20
            resource.setrlimit(resource.RLIMIT_DATA, (size, size))

    return limit


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit_s: float, memory_limit_mb: int = 0) -> Done:
    """Standard output and error together. The child is in a group of its own, so that nothing of it stays behind; it
    has the rights of the owner of `cwd`."""
    user = rights.user_of(cwd)
    try:
        child = subprocess.Popen(
            list(argv), cwd=cwd, env=rights.environment(env, user), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=limited(memory_limit_mb),  # noqa: PLW1509 - no threads here
            **rights.options(user),
        )  # fmt: skip
    except OSError as error:
        return Done(127, f"can't start {argv[0]}: {reason(error)}")
    try:
        output, _ = child.communicate(timeout=limit_s)
        return Done(child.returncode, output.decode("utf-8", "replace"))
    except subprocess.TimeoutExpired:
        return Done(None, f"not done within {limit_s:g} s")
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
