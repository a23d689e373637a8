"""A Slurm cluster of our own on this machine, from Debian's packages: `python -m tests.slurm.cluster up|down|status`.

Its munged has a key and a socket of its own, its daemons listen on free ports of the loopback, and all that it writes is
in one folder: a Slurm or munge of the machine is not touched. It needs root, as slurmd does.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.slurm.configuration import Size, slurm_conf

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
PACKAGES = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
KEPT = Path(tempfile.gettempdir()) / f"atftctl-slurm-{os.getuid()}"  # where `up` notes its cluster
ATTEMPTS = 3  # with other ports: another program may take one between our look and its use
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def missing() -> str:
    """Why there can be no cluster here; "" where there can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return f"{', '.join(absent)} can't be found: {PACKAGES}"
    return "" if os.geteuid() == 0 else "only root can run slurmd"


class Cluster:
    """`start` it, and `stop` it. `root`: its folder. `conf`: what SLURM_CONF must name."""

    def __init__(self, root: Path, size: Size | None = None) -> None:
        self.root = root
        self.size = size or Size()
        self.conf = root / "slurm.conf"
        self._control = -1  # lines for the supervisor

    def start(self, *, stays: bool = False) -> None:
        """Start all daemons, and wait until all nodes are idle. `stays`: the cluster goes on after this process;
        otherwise it ends with it, however that ends."""
        for attempt in range(ATTEMPTS):
            self._prepare()
            self._launch(stays=stays)
            try:
                for name in ("munged", "slurmctld", *self.names()):
                    self._start(name)
                self.wait(lambda: list(self.nodes().values()) == ["idle"] * self.size.nodes, 20)
                return
            except AssertionError:
                logs = [file.read_text(errors="replace")[-2000:] for file in sorted((self.root / "log").iterdir())]
                self.stop()
                if attempt == ATTEMPTS - 1:
                    raise AssertionError("the cluster did not start:\n" + "\n".join(logs)) from None

    @classmethod
    def running(cls, root: Path) -> Cluster:
        """The cluster that another process has started to stay."""
        cluster = cls(root)
        cluster._control = os.open(root / "control", os.O_WRONLY | os.O_NONBLOCK)
        return cluster

    def stop(self) -> None:
        """End every process of the cluster, and remove its folder."""
        supervisor = self.pid("supervisor")
        os.kill(supervisor, signal.SIGTERM)  # the folder is there, so that it is alive
        os.close(self._control)
        self.wait(lambda: not self.root.exists(), 30)
        with suppress(ChildProcessError):
            os.waitpid(supervisor, 0)

    def processes(self) -> list[int]:
        """The pids of all processes that know of the cluster by their environment."""
        mark, pids = f"SLURM_CONF={self.conf}".encode(), []
        for name in os.listdir("/proc"):
            with suppress(OSError):
                if name.isdigit() and mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    pids.append(int(name))
        return pids

    def run(self, *argv: str, check: bool = True) -> str:
        """The output of a command of Slurm, for what the tests themselves want to know. It may fail where `check` is
        False: its errors are part of the output then."""
        env = {"SLURM_CONF": str(self.conf), "PATH": PATH, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
        return (done.stdout if check else done.stdout + done.stderr).strip()

    # -- daemons ------------------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """The pid of a daemon: slurmctld, munged, or a node such as n1."""
        return int((self.root / "run" / name).read_text())

    def node_down(self, number: int) -> None:
        """Kill a node's slurmd, as if the node was lost to the controller; its jobs go on."""
        os.kill(self.pid(f"n{number}"), signal.SIGKILL)
        self.wait(lambda: not (self.root / "run" / f"n{number}").exists(), 5)

    def node_up(self, number: int) -> None:
        """Start a node's slurmd again, and wait until Slurm uses the node."""
        self._start(f"n{number}")
        self.run("scontrol", "update", f"NodeName=n{number}", "State=RESUME", check=False)
        self.wait(lambda: self.nodes()[f"n{number}"] in ("idle", "mixed", "allocated", "completing"), 30)

    def freeze_controller(self) -> None:
        """Stop slurmctld with SIGSTOP: it takes connections, and answers none."""
        os.kill(self.pid("slurmctld"), signal.SIGSTOP)

    def thaw_controller(self) -> None:
        """Let slurmctld go on."""
        os.kill(self.pid("slurmctld"), signal.SIGCONT)

    def controller_down(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End slurmctld. With SIGKILL, it forgets what it has learned within the last five seconds or so."""
        os.kill(self.pid("slurmctld"), number)
        self.wait(lambda: not (self.root / "run" / "slurmctld").exists(), 15)

    def controller_up(self) -> None:
        """Start slurmctld again, with the state that it had saved."""
        self._start("slurmctld")
        self.wait(lambda: "is UP" in self.run("scontrol", "ping", check=False), 20)

    # -- what it says -------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The names of the nodes."""
        return [f"n{number}" for number in range(1, self.size.nodes + 1)]

    def nodes(self) -> dict[str, str]:
        """The state of each node; {} while the controller does not answer."""
        argv = ["sinfo", "--noheader", "--Node", "--partition=main", "--format=@ %N %T"]
        lines = [line.split() for line in self.run(*argv, check=False).splitlines() if line.startswith("@ ")]
        return {name: state.rstrip("*") for _, name, state in lines}

    def state(self, job_id: int) -> str:
        """The state of a job in one word."""
        return self.run("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T")

    def left_over(self) -> list[str]:
        """Jobs that nobody has ended: "12 RUNNING"."""
        lines = self.run("squeue", "--noheader", "--format=%A %T").splitlines()
        return [line for line in lines if not line.endswith(" COMPLETING")]

    def wait_state(self, job_id: int, *states: str, limit_s: float = 30) -> str:
        """Wait until the job has one of the states; return it."""
        self.wait(lambda: self.state(job_id) in states, limit_s, lambda: f"job {job_id} is {self.state(job_id)}")
        return self.state(job_id)

    def wait(self, done: Callable[[], bool], limit_s: float, say: Callable[[], str] = lambda: "waited in vain") -> None:
        """Wait until it is so. Fails after the limit."""
        deadline = time.monotonic() + limit_s
        while not done():
            assert time.monotonic() < deadline, say()
            time.sleep(0.05)

    def clear(self) -> None:
        """Cancel all jobs, and wait until they are gone and all nodes are idle again."""
        self.run("scancel", "--user=root", check=False)
        self.wait(lambda: not self.run("squeue", "--noheader"), 30)

    # -- in parts -----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self.root.mkdir(exist_ok=True)
        self.root.chmod(0o755)
        for name in ("munge", "state", "run", "log", *(f"spool-{name}" for name in self.names())):
            (self.root / name).mkdir(exist_ok=True)
        key = self.root / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        host, user = socket.gethostname().split(".")[0], pwd.getpwuid(os.geteuid()).pw_name
        self.conf.write_text(slurm_conf(self.root, host, free_ports(1 + self.size.nodes), self.size, user))

    def _launch(self, *, stays: bool) -> None:
        """Start the supervisor, whose life hangs on its standard input: our pipe, or a FIFO that it holds itself."""
        env = {"PATH": PATH, "HOME": os.environ.get("HOME", "/"), "SLURM_CONF": str(self.conf), "LANG": "C.UTF-8"}
        if stays:
            os.mkfifo(self.root / "control", 0o600)
            source = os.open(self.root / "control", os.O_RDWR)
            self._control = os.open(self.root / "control", os.O_WRONLY)
        else:
            source, self._control = os.pipe()
        with (self.root / "log" / "supervisor.out").open("wb") as output:
            subprocess.Popen(
                [sys.executable, "-m", "tests.slurm.supervisor", str(self.root)],
                cwd=Path(__file__).parents[2], env=env, stdin=source, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        os.close(source)
        self.wait(lambda: (self.root / "run" / "supervisor").exists(), 20)

    def _start(self, name: str) -> None:
        os.write(self._control, f"start {name}\n".encode())
        self.wait(lambda: (self.root / "run" / name).exists(), 10)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


# -- from the command line --------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """up, down, status; node-down N, node-up N."""
    verb, *rest = arguments or ["status"]
    if verb == "up":
        up()
    elif not KEPT.is_symlink() or not KEPT.exists():
        print("there is no cluster: make slurm-up")
    elif verb == "down":
        Cluster.running(KEPT.resolve()).stop()
        KEPT.unlink()
    elif verb in ("node-down", "node-up"):
        getattr(Cluster.running(KEPT.resolve()), verb.replace("-", "_"))(int(rest[0]))
    else:
        print(Cluster.running(KEPT.resolve()).run("sinfo", "--Node", "--long"))


def up() -> None:
    """Start a cluster that stays, and say how to use it."""
    if reason := missing():
        sys.exit(reason)
    if KEPT.is_symlink() and KEPT.exists():
        print("it is up already")
    else:
        KEPT.unlink(missing_ok=True)
        cluster = Cluster(Path(tempfile.mkdtemp(prefix="atftctl-slurm.")))
        cluster.start(stays=True)
        KEPT.symlink_to(cluster.root)
    print(f"export SLURM_CONF={KEPT.resolve()}/slurm.conf")


if __name__ == "__main__":
    main(sys.argv[1:])
