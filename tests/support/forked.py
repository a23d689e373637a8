"""Run commands in forks of a small process that has every module loaded: this saves 0.2 s of start-up for each command.

The code, the kernel and the process are as in real use; the start-up itself has tests of its own. Run as a program, this
module is that process: it reads a line of JSON (arguments, folder, environment, files) and writes a line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
LATE = (
    "textwrap", "difflib", "csv", "tarfile", "zipfile", "secrets", "getpass", "importlib.metadata", "concurrent.futures",
    "psutil", "ruamel.yaml", "rich.console", "rich.table", "typer.main", "ctypes", "resource",
)  # fmt: skip
_asking = threading.Lock()  # one answer at a time: those of two threads would be mixed up
_servers: dict[int, subprocess.Popen[str]] = {}  # by the test process that started it


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: str | None, limit_s: float
) -> tuple[int, str, str]:
    """Run a command; return exit code (negative for a signal), standard output and standard error. Raises
    TimeoutExpired."""
    with tempfile.TemporaryDirectory(prefix="forked-") as folder:
        files = [f"{folder}/{name}" for name in ("in", "out", "err")]
        Path(files[0]).write_text(stdin or "")
        request = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "files": files, "limit_s": limit_s,
                 "has_input": stdin is not None}  # fmt: skip
        with _asking:
            code = _ask(request)
        texts = [Path(name).read_bytes().decode("utf-8", "backslashreplace") for name in files[1:]]
    if code is None:
        raise subprocess.TimeoutExpired(list(arguments), limit_s)
    return code, texts[0], texts[1]


def _ask(request: dict[str, Any]) -> int | None:
    server = _servers.get(os.getpid())
    if server is None or server.poll() is not None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        server = _servers[os.getpid()] = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=ROOT,
        )
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    exit_code: int | None = json.loads(server.stdout.readline())
    return exit_code


def serve() -> None:
    """Serve requests one after the other, until standard input is closed."""
    import gc
    import importlib

    from atftctl.host.self_copy import private_copy

    private_copy.load_all()
    for name in LATE:
        importlib.import_module(name)
    _warm_up()
    gc.freeze()  # a collection in a child would copy every page of what is loaded
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            names = [request["files"][0] if request["has_input"] else os.devnull, *request["files"][1:]]
            become(_command, ["atftctl", *request["arguments"]], Path(request["cwd"]), request["env"], names)
        sys.stdout.write(json.dumps(_wait(pid, request["limit_s"])) + "\n")
        sys.stdout.flush()


def _warm_up() -> None:
    """Read a runbook, for what the readers keep: the types of its parts, and expressions that are compiled."""
    from atftctl.observe.runbook.load import parse
    from atftctl.state.layout import Layout

    runbook = ROOT / "runbooks" / "atft-gat-fan.yaml"
    parse(Layout(root=ROOT, runbook=runbook), runbook.read_bytes())


def _wait(pid: int, limit_s: float) -> int | None:
    """Wait for a child and return its exit code; None where it was killed because the time was up."""
    deadline = time.monotonic() + limit_s
    pause = 0.002
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def become(
    main: Callable[[], object], argv: Sequence[str], cwd: Path, env: Mapping[str, str], names: Sequence[str]
) -> NoReturn:
    """In the child: set up the process as exec would, then run `main` and exit with what it returns. `names`: the files
    that are its standard input, output and error."""
    code = 1
    try:
        modes = (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT | os.O_APPEND] * 2)
        handles = [os.open(name, mode, 0o600) for name, mode in zip(names, modes, strict=True)]
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        os.chdir(cwd)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(n, m, encoding="utf-8", closefd=False) for n, m in enumerate("rww")
        )
        sys.argv = list(argv)
        tempfile.tempdir = None  # it may be that of the environment of before
        _guard(env)
        code = int(main() or 0)  # type: ignore[call-overload]
    except SystemExit as error:
        code = int(error.code or 0) if not isinstance(error.code, str) else 1
    except BaseException:  # as the interpreter does
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 120
        os._exit(code)


def _command() -> None:
    from atftctl.__main__ import main

    main()


def _guard(env: Mapping[str, str]) -> None:
    """No signal may reach a process that no test started: as children/guarded has it for other children."""
    import runpy

    if env.get("ATFTCTL_TEST_VIOLATIONS"):
        runpy.run_path(str(Path(__file__).parent / "children" / "guarded" / "sitecustomize.py"))


if __name__ == "__main__":
    serve()
