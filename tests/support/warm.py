"""The trainer in forks of a process that has PyTorch loaded: to import it takes most of the processor time of a short run.

The code, the kernel and the process are as in real use; `tests/operations` starts the trainer as a command. Run as a
program, this module is that process: it reads a line of JSON (a program to start, or a pid to ask for) and writes a line
of JSON (a pid, or an exit code, null for none yet).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.forked import ROOT, become

_servers: dict[int, subprocess.Popen[str]] = {}  # by the test process that started it


class Child:
    """A process that was forked, with what the tests use of subprocess.Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _ask({"poll": self.pid})
        return self.returncode

    def wait(self, limit_s: float = 120) -> int:
        """Wait for its end; return the exit code, negative for a signal. Raises TimeoutExpired."""
        deadline = time.monotonic() + limit_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), limit_s)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(program: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: str | Path = os.devnull) -> Child:
    """Start a program, given as the arguments of Python (`-m atftctl.trainer ...` or `-c TEXT ...`). `out`: the file of
    its standard output and error."""
    return Child(_ask({"program": list(program), "cwd": str(cwd), "env": dict(env), "out": str(out)}))


def run(
    program: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; standard output and error are returned as one. Raises TimeoutExpired."""
    with tempfile.NamedTemporaryFile(prefix="warm-") as out:
        child = start(program, cwd=cwd, env=env, out=out.name)
        try:
            code = child.wait(limit_s)
        finally:
            child.kill()
        text = Path(out.name).read_text(errors="backslashreplace")
    return subprocess.CompletedProcess(list(program), code, text, text)


class Pair:
    """Two processes of one run, as torchrun starts them; what torchrun does when one fails is tested with torchrun."""

    def __init__(self, program: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: str | Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks = ({"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2))
        self.children = [start(program, cwd=cwd, env={**env, **shared, **rank}, out=out) for rank in ranks]

    def wait(self, limit_s: float = 120) -> int:
        """Wait for both; return the first exit code that is not 0, or 0."""
        codes = [child.wait(limit_s) for child in self.children]
        return next((code for code in codes if code), 0)

    def kill(self) -> None:
        for child in self.children:
            child.kill()


def _ask(request: dict[str, Any]) -> Any:
    server = _servers.get(os.getpid())
    if server is None or server.poll() is not None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        server = _servers[os.getpid()] = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
        )
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def serve() -> None:
    """Serve requests one after the other, until standard input is closed."""
    import gc
    import importlib
    import pkgutil

    import atftctl.trainer

    for module in pkgutil.walk_packages(atftctl.trainer.__path__, "atftctl.trainer."):
        importlib.import_module(module.name)
    for name in ("torch._dynamo", "torch.distributed", "pandas", "pyarrow.parquet"):  # imported where they are used
        importlib.import_module(name)
    gc.freeze()  # a collection in a child would copy every page of what is loaded
    for line in sys.stdin:
        answer = _answer(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> int | None:
    if "poll" in request:
        pid, status = os.waitpid(request["poll"], os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None
    pid = os.fork()
    if pid == 0:
        kind, text, *arguments = request["program"]
        names = (os.devnull, request["out"], request["out"])
        become(
            lambda: _run(kind, text),
            [text if kind == "-m" else kind, *arguments],
            Path(request["cwd"]),
            request["env"],
            names,
        )
    return pid


def _run(kind: str, text: str) -> object:
    """Run a program as `python -m` or `python -c` would."""
    if kind == "-c":
        exec(text, {"__name__": "__main__"})
        return 0
    from atftctl.trainer.__main__ import main

    assert text == "atftctl.trainer", text
    return main()


if __name__ == "__main__":
    serve()
