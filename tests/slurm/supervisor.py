"""Starts the daemons of a small cluster, and ends with all of them: run as `python -m tests.slurm.supervisor ROOT`.

Every process of the cluster is a descendant of this one, jobs and their orphans too, since it is their subreaper; it
signals no other process. A line "start NAME" on standard input starts a daemon. When standard input ends (whoever held
it was killed, for instance), or at SIGTERM, it kills what is left and removes the folder.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ROUNDS = 500  # of killing and reaping


def daemon(root: Path, name: str) -> list[str]:
    """The command of a daemon, which stays in the foreground."""
    if name == "munged":
        folder = root / "munge"
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return [
            "munged",
            "--foreground",
            "--force",
            *(f"--{option}={folder / file}" for option, file in places.items()),
        ]
    conf = str(root / "slurm.conf")
    return ["slurmctld", "-D", "-f", conf] if name == "slurmctld" else ["slurmd", "-D", "-f", conf, "-N", name]


class Supervisor:
    """`started`: the daemons by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> None:
        """Start what is asked for, until nobody can ask any more."""
        rest = b""
        while True:
            select.select([0], [], [], 0.2)
            self.reap()
            if select.select([0], [], [], 0)[0]:
                block = os.read(0, 4096)
                if not block:
                    return
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    self.start(line.decode().removeprefix("start "))

    def start(self, name: str) -> None:
        """Start a daemon; its pid is written to a file of that name."""
        with (self.root / "log" / f"{name}.out").open("ab") as output:
            child = subprocess.Popen(
                daemon(self.root, name), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self.started[name] = child
        self.note(name, child.pid)

    def note(self, name: str, pid: int) -> None:
        """Write a pid to a file, whole."""
        (self.root / "run" / f"{name}.new").write_text(str(pid))
        (self.root / "run" / f"{name}.new").rename(self.root / "run" / name)

    def reap(self) -> None:
        """Read the exit status of every child that has ended."""
        for name, child in self.started.items():
            if child.poll() is not None:
                (self.root / "run" / name).unlink(missing_ok=True)
        known = {child.pid for child in self.started.values()}
        for pid in children() - known:
            os.waitpid(pid, os.WNOHANG)

    def end(self) -> None:
        """Kill our children, and then what they leave, which comes to us: nobody else can reap a child of ours, so that
        its number can't be that of another process."""
        for _ in range(ROUNDS):
            left = children()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            if not left:
                break
            self.reap()
            select.select([], [], [], 0.02)
        shutil.rmtree(self.root)


def children() -> set[int]:
    """The pids of our children, with those that ended."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C goes to the whole group of the terminal
        signal.signal(number, signal.SIG_IGN)

    def leave(number: int, frame: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, leave)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    supervisor = Supervisor(Path(sys.argv[1]))
    supervisor.note("supervisor", os.getpid())
    try:
        supervisor.run()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        supervisor.end()


if __name__ == "__main__":
    main()
