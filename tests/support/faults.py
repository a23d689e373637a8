"""Faults at system calls: a forked child dies, or a call fails, at the n-th call that changes something on disk."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

# Every mutating call that the product makes, by the name under which it makes it.
CALLS = (
    "write", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "fchmod", "ftruncate", "pwrite",
    "posix_fallocate", "chown", "fchown", "open", "link", "symlink", "setxattr", "utime", "chmod",
)  # fmt: skip
# All calls take minutes: `make torture` strikes each (EVERY=1), the tests a 20th of them, others each day.
EVERY = int(os.environ.get("ATFTCTL_TORTURE_EVERY", "20"))
KILLED = -signal.SIGKILL
Kind = Literal["before", "after", "error", "short"]


@dataclass
class Faults:
    """Counts mutating calls. At call number `at` (from 1) it kills the process before or after the call, lets the call
    fail with `error`, or writes only half of the data."""

    at: int = 0
    error: int = 0
    kind: Kind = "before"
    seen: list[str] = field(default_factory=list)

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return real(*arguments, **options)
            self.seen.append(name)
            if len(self.seen) != self.at:
                return real(*arguments, **options)
            return self._strike(real, arguments, options)

        return call

    def _strike(self, real: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if self.kind == "short":
            handle, data = arguments[:2]
            return real(handle, data[: max(len(data) // 2, 1)])
        try:
            if self.kind == "after":
                real(*arguments, **options)
        finally:  # also where the call itself fails
            os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


def in_child(act: Callable[[], None], faults: Any = None) -> tuple[int, list[str]]:
    """Run `act` in a forked child with these faults; return its exit status (negative: a signal) and the calls seen."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.close(readable)
            if faults:
                faults.install()
            try:
                act()
            except BaseException as error:  # the exit code is the message
                code = int(getattr(error, "exit_code", 99))
                if code == 99 and not isinstance(error, OSError):  # the command line turns an OSError into a refusal
                    import traceback

                    traceback.print_exc()
            if faults:
                data = " ".join(faults.seen).encode()
                while data:
                    data = data[_REAL_WRITE(writable, data) :]
        finally:
            os._exit(code)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        seen = pipe.read().decode().split()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), seen


_REAL_WRITE = os.write
FULL, BROKEN = errno.ENOSPC, errno.EIO
