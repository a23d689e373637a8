"""Loaded by every command that a test starts: no signal may reach a process that no test started."""

import os
import signal
import sys
import types

_send = signal.pidfd_send_signal


def _guarded(handle, number, *rest):
    with open(f"/proc/self/fdinfo/{handle}") as file:
        pid = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
        ours = not environment or b"ATFTCTL_TEST=1" in environment  # a process that is ending has none any more
    except OSError:
        ours = True  # gone already
    if pid > 0 and not ours:
        with open(os.environ["ATFTCTL_TEST_VIOLATIONS"], "a") as file:
            file.write(f"signal {number} to pid {pid}, which no test started\n")
        raise PermissionError(f"pid {pid} is no process of a test")
    return _send(handle, number, *rest)


signal.pidfd_send_signal = _guarded

# `doctor` imports the packages of the trainer in a Python of its own, which takes seconds: most tests are about
# something else, and have stand-ins.
if sys.orig_argv[1:2] == ["-c"] and "torch" in sys.orig_argv:
    for _name in os.environ.get("ATFTCTL_TEST_STANDINS", "").split():
        sys.modules[_name] = types.ModuleType(_name)

for _name in os.environ.get("ATFTCTL_TEST_BLOCK", "").split():
    sys.modules[_name] = None  # importing it raises ImportError
