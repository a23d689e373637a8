"""Run a program, pass its output and the signals through unchanged, and let somebody read the output.

Where this process is killed, the kernel sends SIGTERM to the program: it does not go on unseen. Processes that the
program leaves behind become our children (a daemon, a launcher that exits): we end when the last of them has ended.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from atftctl.host.process.command import PR_SET_PDEATHSIG, load_prctl
from atftctl.host.process.inherited_state import clean_child

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
OF_THE_KERNEL = 0x80  # si_code of a signal that the terminal sent: the program, in the same group, has it already
TICK_S = 0.1
PIPE = 1 << 20  # the size of a pipe from the program, where the kernel allows it
BLOCK = 256 << 10  # bytes that are read at once: what fits into the cache of a processor is passed on at half the cost
PIECE = select.PIPE_BUF  # bytes that never block where `select` says that a pipe or terminal takes some

Reader = Callable[[int, bytes], None]  # (number of the stream: 1 or 2; a block of its output)


@dataclass
class _Stream:
    """A pipe from the program, and where its output goes."""

    number: int
    source: int
    target: int
    waiting: bytes = b""  # read, and not yet written
    blocks: bool = True  # may writing to the target block?
    broken: bool = False

    def __post_init__(self) -> None:
        with suppress(OSError):
            mode = os.fstat(self.target).st_mode
            self.blocks = not (stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(self.target)))
        with suppress(OSError):
            fcntl.fcntl(self.source, fcntl.F_SETPIPE_SZ, PIPE)


@dataclass
class PassedThrough:
    """One program. `on_output` gets every block after it was passed on; `on_tick` is called about ten times a second.
    `asked`: the first signal to stop that was passed on; 0 for none."""

    argv: Sequence[str]
    env: Mapping[str, str]
    on_output: Reader
    on_tick: Callable[[], None]
    on_lost: Callable[[OSError], None]
    asked: int = 0
    pid: int = 0
    ended: int | None = None  # the status of the program itself, as of waitpid
    others: int | None = None  # that of the last process that it left behind
    _streams: list[_Stream] = field(default_factory=list)
    _idle: bool = False  # was there nothing to read and to write?

    def run(self) -> int:
        """Run the program until it and all that it left behind have ended. Return its status as `waitpid` gives it:
        that of the last process it left behind where it ended with 0 itself. Raises OSError where it can't be started.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        _become_subreaper()
        self._start()
        try:
            while not self._is_over():
                self._pass_signals_on()
                self._pump()
                self.on_tick()
                self._reap()
        finally:
            for stream in self._streams:
                os.close(stream.source)
            self._streams.clear()
        return self.ended or self.others or 0

    def kill(self) -> None:
        """Kill the program and what it left behind."""
        for pid in self._own():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def ask(self, number: int) -> None:
        """Send a signal to the program; to what it left behind where it has ended."""
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.asked = self.asked or number
        for pid in [self.pid] if self.ended is None else children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _own(self) -> list[int]:
        return list(dict.fromkeys([*([self.pid] if self.ended is None else []), *children()]))

    def _start(self) -> None:
        """Start it with pipes in the place of our output; with one pipe where both of ours are the same file, so that
        the lines stay in their order."""
        one = _same_file(1, 2)
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(1 if one else 2)]
        try:
            child = subprocess.Popen(
                list(self.argv), env=dict(self.env), stdout=pipes[0][1], stderr=pipes[-1][1],
                preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - no threads here
            )  # fmt: skip
        except BaseException:
            for source, _ in pipes:
                os.close(source)
            raise
        finally:
            for _, sink in pipes:
                os.close(sink)
        child.returncode = 0  # its status is read here, by waitpid; Popen must not look for it
        self.pid = child.pid
        self._streams = [_Stream(number, pipe[0], number) for number, pipe in enumerate(pipes, 1)]

    def _is_over(self) -> bool:
        """Have the program and all that it left behind ended, and was all of their output passed on?"""
        return self.ended is not None and (self._idle or not self._streams) and not children()

    def _pass_signals_on(self) -> None:
        while seen := signal.sigtimedwait(PASSED_ON, 0):
            number = seen.si_signo
            if seen.si_code == OF_THE_KERNEL and number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                self.asked = self.asked or number
            else:
                self.ask(number)

    def _pump(self) -> None:
        """Read once from each stream that has something, and pass it on; at most TICK_S without either."""
        reading = {stream.source: stream for stream in self._streams if not stream.waiting}
        writing = {stream.target: stream for stream in self._streams if stream.waiting}
        if not self._streams:
            time.sleep(TICK_S)
            return
        try:
            readable, writable, _ = select.select(list(reading), list(writing), [], TICK_S)
        except OSError:  # the reader of our output has closed it
            readable, writable = list(reading), list(writing)
        self._idle = not (readable or writable or writing)
        for target in writable:
            self._write(writing[target])
        for source in readable:
            self._read(reading[source])

    def _read(self, stream: _Stream) -> None:
        block = os.read(stream.source, BLOCK)
        if not block:
            os.close(stream.source)
            self._streams.remove(stream)
            return
        if not stream.broken:
            stream.waiting = block
            if not stream.blocks:
                self._write(stream)
        self.on_output(stream.number, block)

    def _write(self, stream: _Stream) -> None:
        """Write what waits. Where nobody reads our output any more, the program is told in the same way; where there is
        no room for it, it is lost."""
        piece = stream.waiting[: _room(stream.target)] if stream.blocks else stream.waiting
        try:
            stream.waiting = stream.waiting[os.write(stream.target, piece) :]
        except BlockingIOError:
            time.sleep(TICK_S)
        except OSError as error:
            stream.waiting = b""
            if error.errno == errno.EPIPE:
                os.close(stream.source)
                self._streams.remove(stream)
                return
            if not stream.broken:
                self.on_lost(error)
            stream.broken = True

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self.pid:
                    self.ended = status
                else:
                    self.others = status


def _room(target: int) -> int:
    """How many bytes can be written without waiting, where `select` says that there is room: all that a pipe holds
    where it is empty, else as much as the kernel promises."""
    try:
        held = int.from_bytes(fcntl.ioctl(target, termios.FIONREAD, bytes(4)), sys.byteorder)
        return PIECE if held else max(PIECE, fcntl.fcntl(target, fcntl.F_GETPIPE_SZ))
    except OSError:  # no pipe
        return PIECE


def children() -> list[int]:
    """The pids of our own children that have not been waited for."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except (OSError, ValueError):
        return []


def end_as(status: int) -> int:
    """The exit code for a status of `waitpid`; for a signal, end by the same one, so that our parent sees it, too."""
    if not os.WIFSIGNALED(status):
        return os.waitstatus_to_exitcode(status)
    number = os.WTERMSIG(status)
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the dump, if any, is that of the program
    with suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number


def _same_file(one: int, other: int) -> bool:
    try:
        first, second = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    return (first.st_dev, first.st_ino, first.st_rdev) == (second.st_dev, second.st_ino, second.st_rdev)


def _become_subreaper() -> None:
    prctl = load_prctl()
    if prctl:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _dies_with(parent: int) -> Callable[[], None]:
    """A function for the child, between fork and exec: it gets SIGTERM from the kernel where its parent is killed."""
    prctl = load_prctl()

    def prepare() -> None:
        clean_child()
        if prctl:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare
