"""A stand-in trainer: appends a line to the file of its first argument ten times a second. Its second argument: what it
does at SIGTERM: "save" ends with 10 after a last line; "deaf" goes on. Also: "exit CODE", "memory MB"."""

import os
import signal
import sys
import time

path, what, *more = sys.argv[1:]
say = open(path, "a", buffering=1)  # noqa: SIM115 - until its end
stopping = False


def stop(number: int, frame: object) -> None:
    global stopping
    stopping = what == "save"
    say.write(f"signal {number}\n")


signal.signal(signal.SIGTERM, stop)
say.write(f"start {os.getpid()} {os.environ.get('SLURM_JOB_ID')} {os.environ.get('SLURM_RESTART_COUNT', 0)}\n")
if what == "exit":
    sys.exit(int(more[0]))
ballast = b"x" * (int(more[0]) << 20) if what == "memory" else b""
for step in range(3000):  # five minutes: a trainer that a test has lost does not stay for ever
    say.write(f"step {step}\n")
    time.sleep(0.1)
    if stopping:
        say.write("saved\n")
        sys.exit(10)
