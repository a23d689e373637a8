"""The parent of a trainer that says nothing about its end: start the command, and write down how each process ends.

`kept.py` runs this source in an interpreter of its own (`python -I -S -c SOURCE FD`): it imports the standard library
only. It is no member of the run: it has no mark of it, and a session of its own. Processes that a launcher leaves in
the background become its children, so that the end of each of them is known. Where it is killed, only that is lost.

Two lines go to the descriptor: the process, before it runs the command, and then the errno with which the command could
not be started, 0 for none. So no command runs of which the caller knows nothing, whoever is killed in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import Any

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
MOST = 64  # ends that are kept, the newest
AGAIN_S = 1.0  # between two tries to write on a full disk
LONGEST_S = 86400.0  # for which it is tried after the last end


def main() -> None:
    """Read what to start from standard input, answer on the descriptor of the first argument, and wait for the end."""
    answer = int(sys.argv[1])
    try:
        spec = json.loads(sys.stdin.buffer.read())
    except ValueError:  # the caller was killed
        return
    try:
        _become(spec["user"])
    except OSError as error:
        _tell(answer, {"failure": error.errno})
        return
    _adopt_orphans()
    if _start(spec, answer):
        _let_go()
        _wait(spec["exits"])


def _become(user: dict[str, Any] | None) -> None:
    """Take that user's rights. Not before: the user may not be allowed to run this interpreter."""
    if user:
        os.setgroups(user["groups"])
        os.setgid(user["gid"])
        os.setuid(user["uid"])


def _adopt_orphans() -> None:
    with contextlib.suppress(Exception):  # without it, only the end of the command itself is known
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _start(spec: dict[str, Any], answer: int) -> bool:
    """Start the command, and tell the caller. False where it was not started."""
    failed, failure = os.pipe()  # closed by exec
    wait, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(answer)
            os.close(go)
            os.setsid()
            if os.read(wait, 1):  # else this process's parent was killed, or nobody is told of it
                _exec(spec)
        except (OSError, ValueError) as error:
            os.write(failure, str(getattr(error, "errno", None) or 22).encode())
        os._exit(127)
    os.close(failure)
    if _tell(answer, {"pid": pid, "ticks": _ticks(pid)}):
        os.write(go, b"1")
    os.close(go)
    code = int(os.read(failed, 16) or 0)
    told = _tell(answer, {"failure": code})
    os.close(answer)
    return told and not code


def _tell(answer: int, line: dict[str, Any]) -> bool:
    """Tell the caller; False where it is gone."""
    try:
        os.write(answer, json.dumps(line).encode() + b"\n")
    except OSError:
        return False
    return True


def _ticks(pid: int) -> int:
    """The start time of a child that was not waited for, so that its pid is still its own."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def _exec(spec: dict[str, Any]) -> None:
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
    """Write down each end, until no child is left. On a full disk, which may have ended the trainer, it is tried again
    until there is room, or the folder is gone."""
    ends: list[dict[str, Any]] = []
    written = True
    while True:
        try:
            pid, status = os.waitpid(-1, 0 if written else os.WNOHANG)
        except ChildProcessError:
            if written or time.time() - ends[-1]["t"] > LONGEST_S:
                return
            pid = 0
        if pid:
            ends.append({"pid": pid, "code": os.waitstatus_to_exitcode(status), "t": time.time()})
        else:
            time.sleep(AGAIN_S)
        try:
            _write(path, json.dumps({"ends": ends[-MOST:]}).encode())
            written = True
        except OSError:
            written = not os.path.isdir(os.path.dirname(path))


def _write(path: str, data: bytes) -> None:
    part = f"{path}.{os.getpid()}"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        if os.write(handle, data) < len(data):
            raise OSError("no room")
        os.fsync(handle)
    except OSError:
        os.unlink(part)
        raise
    finally:
        os.close(handle)
    os.replace(part, path)


if __name__ == "__main__":
    main()
