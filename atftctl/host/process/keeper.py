"""The parent of a trainer that says nothing about its end: start the command, and write down how each process ends.

`kept.py` runs this source in an interpreter of its own (`python -I -S -c SOURCE FD`): it imports the standard library
only. It is no member of the run: it has no mark of it, and a session of its own. Processes that a launcher leaves in
the background become its children, so that the end of each of them is known. Where it is killed, only that is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
MOST = 64  # ends that are kept, the newest


def main() -> None:
    """Read what to start from standard input, answer on the descriptor of the first argument, and wait for the end."""
    answer = int(sys.argv[1])
    text = sys.stdin.buffer.read()
    if not text:  # the caller was killed
        return
    spec = json.loads(text)
    _adopt_orphans()
    pid, failure = _start(spec, answer)
    with contextlib.suppress(OSError):
        os.write(answer, json.dumps({"pid": pid, "ticks": _ticks(pid), "failure": failure}).encode())
    os.close(answer)
    if not failure:
        _let_go()
        _wait(spec["exits"])


def _adopt_orphans() -> None:
    with contextlib.suppress(Exception):  # without it, only the end of the command itself is known
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _start(spec: dict[str, Any], answer: int) -> tuple[int, int]:
    """(pid of the command, 0), or (pid, the errno with which it could not be started)."""
    reader, writer = os.pipe()  # closed by exec
    pid = os.fork()
    if pid == 0:
        try:
            os.close(answer)
            os.setsid()
            _exec(spec)
        except (OSError, ValueError) as error:
            os.write(writer, str(getattr(error, "errno", None) or 22).encode())
        os._exit(127)
    os.close(writer)
    failure = os.read(reader, 16)
    os.close(reader)
    return pid, int(failure or 0)


def _ticks(pid: int) -> int:
    """The start time of a child that was not waited for, so that its pid is still its own."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def _exec(spec: dict[str, Any]) -> None:
    import resource

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if limit := spec["limit"]:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and exec would hand on
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - the command of the runbook, as a list


def _let_go() -> None:
    """Hold nothing of the project or the terminal, and outlive signals to whole groups."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)


def _wait(path: str) -> None:
    ends: list[dict[str, Any]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        ends.append({"pid": pid, "code": os.waitstatus_to_exitcode(status), "t": time.time()})
        with contextlib.suppress(OSError):  # a full disk: the end is not known
            _write(path, json.dumps({"ends": ends[-MOST:]}).encode())


def _write(path: str, data: bytes) -> None:
    part = f"{path}.{os.getpid()}"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(part, path)


if __name__ == "__main__":
    main()
