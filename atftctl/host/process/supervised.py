"""Run a program that is not trusted to behave: with limits for all of its processes together, and none left behind.

A program may fork, leave its session, or fill memory and disk. All its processes inherit a marker in their environment,
so each of them is found, and all are killed when the program ends, breaks a limit, or we are interrupted.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.errors import HostError, reason
from atftctl.host.files.reading import size_of
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.host.process.command import limited
from atftctl.host.process.stop import stop
from atftctl.protocol.messages import tr

MARKER = "ATFTCTL_PROBE"
LOOK_S = 0.5  # between two looks at all processes: each reads the whole process table
POLL_S = 0.02


@dataclass(frozen=True)
class Limits:
    """Limits of all processes of a program together. `memory_mb`: anonymous memory; 0 for none. `output_bytes`: of what
    they write to standard output and error."""

    seconds: float
    memory_mb: int = 0
    processes: int = 64
    output_bytes: int = 64 << 20


class Supervised:
    """A program that runs, or could not be started. `problem`: why not, or which limit it broke; "" for neither."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path, limits: Limits) -> None:
        """Start the program; see `supervised`. Raises OSError for `output`."""
        self._output, self._limits = output, limits
        self._uid = rights.uid_of(cwd)
        self._marker = f"{MARKER}={secrets.token_hex(8)}"
        self._deadline = time.monotonic() + limits.seconds
        self.problem = ""
        self._child: subprocess.Popen[bytes] | None = None
        name, _, value = self._marker.partition("=")
        try:
            self._child = _start(argv, cwd, {**env, "SPT_NOENV": "1", name: value}, output)
        except (HostError, subprocess.SubprocessError) as error:
            self.problem = reason(error)
        self._main = procs.identify(self._child.pid) if self._child else None

    @property
    def code(self) -> int | None:
        """Its exit status, negative for a signal; None where it runs or could not be started."""
        return self._child.returncode if self._child else None

    @property
    def started(self) -> bool:
        return self._child is not None

    def wait(self, watch: Callable[[], None] = lambda: None) -> None:
        """Wait until it ends or breaks a limit. `watch`: called each half second."""
        looked = 0.0
        while self._child and self._child.poll() is None and not self.problem:
            if time.monotonic() - looked >= LOOK_S:
                self.problem = self._broken_limit()
                watch()
                looked = time.monotonic()
            time.sleep(POLL_S)

    def _broken_limit(self) -> str:
        limits = self._limits
        if time.monotonic() > self._deadline:
            return tr("did not end within {limit_s:g} s", limit_s=limits.seconds)
        members = procs.members(self._main, self._marker, self._uid) if self._main else set()
        if len(members) > limits.processes:
            return tr("started more than {limit} processes", limit=limits.processes)
        used = sum(filter(None, (procs.anonymous_mb(member.pid) for member in members)))
        if limits.memory_mb and used > limits.memory_mb:
            return tr("took {used:,.0f} MB of memory; it may take {limit:,} MB", used=used, limit=limits.memory_mb)
        if size_of(self._output) > limits.output_bytes:
            return tr("wrote more than {limit} MB of output", limit=limits.output_bytes >> 20)
        return ""

    def end(self) -> None:
        """Kill every process of the program. A process that sleeps in the kernel ends when it wakes up."""
        if not (self._child and self._main):
            return
        with suppress(HostError, OSError):
            if self._child.poll() is None:
                self._child.kill()
                self._child.wait()  # before `stop`, which would take its exit status
            stop(self._main, self._marker, grace_s=0, signalled=False, uid=self._uid)


@contextmanager
def supervised(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path, limits: Limits
) -> Iterator[Supervised]:
    """Start a program with the rights of the owner of `cwd`; after the block, no process of it is left.

    Where we are killed, the kernel kills the program itself, too. Its standard output and error go to the new file
    `output`. Raises OSError for that file.
    """
    program = Supervised(argv, cwd=cwd, env=env, output=output, limits=limits)
    try:
        yield program
    finally:
        program.end()


def _start(argv: Sequence[str], cwd: Path, env: Mapping[str, str], output: Path) -> subprocess.Popen[bytes]:
    """Start it in a session of its own. Raises HostError where it can't be started, OSError for `output`."""
    user = rights.user_of(cwd)
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=rights.environment(env, user),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=limited(0, die_with=os.getpid()),  # noqa: PLW1509 - other threads only draw
            **rights.options(user),
        )
    except OSError as error:
        raise HostError(rights.not_started(argv[0], error, user)) from None
    finally:
        os.close(handle)
