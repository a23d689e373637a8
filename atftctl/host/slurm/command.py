"""Run a command of Slurm: an argument list, with a time limit that covers everything, and limited output.

The commands run with the rights of the project's owner. Of the variables by which a shell, or the job that we run in,
changes what a command of Slurm does (SLURM_*, SBATCH_*, SQUEUE_* and so on), only the place of the configuration and
the token of the user are passed on.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.process import rights
from atftctl.host.process.command import limited
from atftctl.host.slurm.errors import BadOutputError, SlurmLateError
from atftctl.protocol.messages import tr

LIMIT_S = 9.5  # of one call; with what it takes to kill the command, less than 10 s
MOST_BYTES = 128 << 20  # of output: `squeue --json` writes about 4 kB a job
NOT_STARTED = 127
POLL_S = 0.01
KILL_WAIT_S = 0.3
LINGER_S = 0.5  # for output after the command itself has ended
KEPT = frozenset(("SLURM_CONF", "SLURM_JWT"))
STEERING = re.compile(
    r"(SLURM|SLURMD|SBATCH|SQUEUE|SCANCEL|SCONTROL|SINFO|SACCT|SALLOC|SRUN|SCRONTAB|SATTACH|PMI|PMI2|PMIX|MPI)_"
)


class Deadline:
    """The time limit that several commands share."""

    def __init__(self, seconds: float = LIMIT_S) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0 where none are."""
        return max(0.0, self._end - time.monotonic())


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status, 127 where it could not be started; its standard output and error."""

    code: int
    output: str
    error: str

    @property
    def text(self) -> str:
        """What it printed, errors first."""
        return f"{self.error}\n{self.output}"


def run(
    cwd: Path,
    argv: Sequence[str],
    deadline: Deadline,
    *,
    stdin: bytes = b"",
    more: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> Done:
    """Run a command to its end. `more`: variables for it; `only`: which of ours it gets beside them, None for all.

    Raises SlurmLateError where the deadline passed, and BadOutputError where it printed too much; its whole process
    group was killed then.
    """
    user = rights.user_of(cwd)
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=rights.environment(rights.Chosen(environment(user, more, only)), user),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=limited(0),  # noqa: PLW1509 - other threads only draw
            **rights.options(user),
        )
    except FileNotFoundError as error:
        missing = tr("{command} is not installed here", command=argv[0])
        return Done(NOT_STARTED, "", missing if cwd.is_dir() else rights.not_started(argv[0], error, user))
    except OSError as error:
        return Done(NOT_STARTED, "", rights.not_started(argv[0], error, user))
    try:
        output, error_output = _Exchange(child, argv[0], deadline, stdin).run()
    finally:
        code = _end(child)
    return Done(code, output.decode("utf-8", "replace"), error_output.decode("utf-8", "replace"))


def environment(
    user: rights.User | None, more: Mapping[str, str] | None = None, only: Collection[str] | None = None
) -> dict[str, str]:
    """Our environment without the variables that steer commands of Slurm, and with the language of the C locale."""
    ours = {n: v for n, v in rights.inherited(user, KEPT).items() if n in KEPT or not STEERING.match(n)}
    ours = {n: v for n, v in ours.items() if only is None or n in only or n in KEPT}
    return {**ours, "LC_ALL": "C.UTF-8", **(more or {})}


class _Exchange:
    """Writes the input of a command and reads its outputs, until it has ended."""

    def __init__(self, child: subprocess.Popen[bytes], command: str, deadline: Deadline, stdin: bytes) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        self._child, self._command, self._deadline, self._input = child, command, deadline, stdin
        self._outputs: dict[int, bytearray] = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
        self._ended = 0.0  # when the command itself was seen to have ended

    def run(self) -> tuple[bytes, bytes]:
        """Standard output and error. Raises SlurmLateError, BadOutputError."""
        with selectors.DefaultSelector() as selector:
            for source in self._outputs:
                selector.register(source, selectors.EVENT_READ)
            if self._child.stdin is not None:
                os.set_blocking(self._child.stdin.fileno(), False)
                selector.register(self._child.stdin.fileno(), selectors.EVENT_WRITE)
            while selector.get_map() and not self._is_over():
                for key, _ in selector.select(min(self._deadline.left_s, 0.1)):
                    if not (self._read(key.fd) if key.fd in self._outputs else self._write(key.fd)):
                        selector.unregister(key.fd)
        while not _has_ended(self._child):
            self._check()
            time.sleep(POLL_S)
        output, error = self._outputs.values()
        return bytes(output), bytes(error)

    def _is_over(self) -> bool:
        """Has the command ended, although a process that it left may still hold its outputs?"""
        self._check()
        if not self._ended and _has_ended(self._child):
            self._ended = time.monotonic()
        return bool(self._ended) and time.monotonic() - self._ended > LINGER_S

    def _check(self) -> None:
        if not self._deadline.left_s and not _has_ended(self._child):
            limit_s = self._deadline.seconds
            raise SlurmLateError(
                tr("{command} did not end within {limit_s:g} s", command=self._command, limit_s=limit_s)
            )
        if sum(map(len, self._outputs.values())) > MOST_BYTES:
            raise BadOutputError(
                tr("{command} printed more than {limit} MB", command=self._command, limit=MOST_BYTES >> 20)
            )

    def _read(self, source: int) -> bool:
        block = os.read(source, 1 << 16)
        self._outputs[source] += block
        return bool(block)

    def _write(self, sink: int) -> bool:
        """Write what the pipe takes. False where nothing is left, or nobody reads; the pipe is closed by then."""
        try:
            self._input = self._input[os.write(sink, self._input) :]
        except BrokenPipeError:
            self._input = b""
        if not self._input and self._child.stdin is not None:
            self._child.stdin.close()
        return bool(self._input)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Has it ended? Its status is not read: until that, no other process can get its number."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: subprocess.Popen[bytes]) -> int:
    """Kill the command where it runs, and what it left in its process group; return its exit status."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        return child.wait(KILL_WAIT_S)
    except subprocess.TimeoutExpired:  # it hangs in the kernel
        return -signal.SIGKILL
