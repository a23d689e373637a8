"""The parent of a trainer inside a Slurm job: start it once, pass signals on, and write down how it ended.

`batch_script.py` puts this source into the batch script, where an interpreter of the node runs it
(`python -I -S -c SOURCE SPEC COMMAND...`): it imports the standard library only. Slurm's own exit code is no evidence:
a job whose step was killed can be COMPLETED with 0. What is written here is durable before the job ends:

    {"job": 12, "cluster": "c", "restarts": 0, "host": "n1", "pid": 99, "t": 1.5,
     "ends": [{"pid": 99, "code": 10, "t": 2.5}], "over": true}

`t`: by the clock of the node. `code`: negative for a signal. `over`: none of its processes is left. A run that was
stopped, or followed by a newer one, while its job waited is not started. A second start of the same run is refused:
the file of the run is made with a hard link, of which there can be one, also on NFS. Where this process is killed, the
kernel kills the trainer, too: a trainer that outlives its job would be a second writer. The file is touched every
BEAT_S seconds: a trainer that gives no signs of life itself is known by those of its keeper.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
AGAIN_S = 1.0  # a signal that comes again within this time is one: Slurm may send it in two ways
FENCED, NOT_STARTED = 17, 127  # protocol.TrainerExit.FENCED; as a shell has it
BEAT_S = 5.0
MOST = 64  # ends that are kept, the newest


def main() -> None:
    """SPEC (JSON): `exits`, the file; `signals`: "forward" to the command, "request" or "ignore"; `request`: the path
    and the text of the file that asks the trainer to stop; `wanted`: see `_refusal`."""
    spec, command = json.loads(sys.argv[1]), sys.argv[2:]
    start = {**_job(), "t": time.time(), "ends": []}
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    if why := _refusal(spec.get("wanted") or {}):
        _end(f"not started: {why}", FENCED)
    try:
        _begin(spec["exits"], start)
    except FileExistsError:
        _fence(spec.get("wanted") or {})
        _end(f"this run has been started before and is not started again: {spec['exits']} exists", FENCED)
    except OSError as error:
        _end(f"not started: can't write {spec['exits']} on {start['host']}: {error.strerror}", NOT_STARTED)
    child = _start(command)
    start["pid"] = child
    _write(spec["exits"], start)
    _listen(spec, child)
    _beat(spec["exits"])
    code = _wait(spec["exits"], start, child)
    os._exit(code if code >= 0 else 128 - code)


def _job() -> dict[str, Any]:
    return {
        "job": int(os.environ.get("SLURM_JOB_ID") or 0),
        "cluster": os.environ.get("SLURM_CLUSTER_NAME", ""),
        "restarts": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
        "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
    }


def _refusal(wanted: dict[str, Any]) -> str:
    """Why the run is not wanted any more; "" where it is. `wanted`: the file `record` must still name the run `run_id`
    as one that is to be running, and the file `counter` hold no higher number than `generation`."""
    if not wanted:
        return ""
    try:
        with open(wanted["record"], "rb") as file:
            record = json.load(file)
        with open(wanted["counter"], "rb") as file:
            newest = int(file.read(64))
    except (OSError, ValueError) as error:
        return f"the record of the run can't be read on this node: {error}"
    if record.get("run_id") != wanted["run_id"] or newest > wanted["generation"]:
        return "the project has another run by now"
    return "" if record.get("wanted") == "running" else "the run was stopped while it waited"


def _fence(wanted: dict[str, Any]) -> None:
    """Rename the folder from which the first start saves its files: it may live on a node that was lost, and must not
    replace newer ones."""
    with contextlib.suppress(OSError, KeyError):
        os.rename(wanted["staging"], f"{wanted['staging']}.fenced")


def _end(message: str, code: int) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"atftctl: {message}\n".encode())
    os._exit(code)


def _begin(path: str, start: dict[str, Any]) -> None:
    """Make the file of the run. Raises FileExistsError where there is one, and OSError."""
    part = _part(path)
    _fill(part, start)
    try:
        os.link(part, path)
    except FileExistsError:
        if os.stat(part).st_nlink == 1:  # 2: NFS had made the link, and its answer was lost
            raise
    finally:
        os.unlink(part)
    _sync_folder(path)


def _write(path: str, state: dict[str, Any]) -> None:
    """Write the file anew. Where that fails, the end is not known."""
    with contextlib.suppress(OSError):
        part = _part(path)
        _fill(part, state)
        os.replace(part, path)
        _sync_folder(path)


def _part(path: str) -> str:
    return f"{path}.{os.environ.get('SLURM_JOB_ID', '')}.{os.environ.get('SLURM_RESTART_COUNT', '')}.{os.getpid()}"


def _fill(path: str, state: dict[str, Any]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        data = json.dumps(state).encode()
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: str) -> None:
    handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _prctl() -> Any:
    with contextlib.suppress(Exception):  # without it, only the end of the command itself is known
        import ctypes

        return ctypes.CDLL(None).prctl
    return lambda *_: None


def _start(command: list[str]) -> int:
    prctl, parent = _prctl(), os.getpid()
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(NOT_STARTED)
            for number in (*PASSED_ON, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
            os.execvp(command[0], command)  # noqa: S606 - the command of the runbook, as a list
        except OSError as error:
            _end(f"can't start {command[0]}: {error.strerror}", NOT_STARTED)
        finally:
            os._exit(NOT_STARTED)
    return pid


def _listen(spec: dict[str, Any], child: int) -> None:
    """Receive the signals that have waited since we began, and all others."""
    passed: dict[int, float] = {}

    def handle(number: int, frame: object) -> None:
        del frame
        if time.monotonic() - passed.get(number, -AGAIN_S) < AGAIN_S:
            return
        passed[number] = time.monotonic()
        if spec["signals"] == "request" and number == signal.SIGTERM:
            _request(*spec["request"])
        elif spec["signals"] == "forward":
            with contextlib.suppress(OSError):
                os.kill(child, number)

    for number in PASSED_ON:
        signal.signal(number, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


def _beat(path: str) -> None:
    """Touch the file again and again, from now on."""

    def touch(number: int, frame: object) -> None:
        del number, frame
        with contextlib.suppress(OSError):
            os.utime(path)

    signal.signal(signal.SIGALRM, touch)
    signal.setitimer(signal.ITIMER_REAL, BEAT_S, BEAT_S)


def _request(path: str, text: str) -> None:
    with contextlib.suppress(OSError):
        part = _part(path)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
        os.replace(part, path)


def _wait(path: str, state: dict[str, Any], child: int) -> int:
    """Wait for the command, and for all that it left behind; return how the command ended."""
    ended = 0
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            _write(path, {**state, "over": True})
            return ended
        code = os.waitstatus_to_exitcode(status)
        ended = code if pid == child else ended
        state["ends"] = [*state["ends"], {"pid": pid, "code": code, "t": time.time()}][-MOST:]
        _write(path, state)


if __name__ == "__main__":
    main()
