"""The command in a fork of the test process, where every module is loaded already: the same code, the same kernel, a
process of its own; what is saved is a fifth of a second of start-up a command. Start-up itself has tests of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from atftctl.host import git, rights, trust

LATE = (
    "textwrap", "difflib", "csv", "tarfile", "zipfile", "secrets", "getpass", "importlib.metadata", "concurrent.futures",
    "psutil", "ruamel.yaml", "rich.console", "rich.table", "typer.main", "ctypes", "resource",
)  # fmt: skip
_loaded: list[str] = []


def load() -> None:
    """Everything that a command may import late. Once a test process."""
    if _loaded:
        return
    import importlib

    from atftctl.host import ourselves

    ourselves.load_all()
    _loaded.extend(importlib.import_module(name).__name__ for name in LATE)


def run(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: str | None, limit_s: float
) -> tuple[int, str, str]:
    """(exit code, standard output, standard error); negative for a signal, as subprocess has it. Raises TimeoutExpired."""
    load()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((stdin or "").encode())
        given.seek(0)
        pid = os.fork()
        if pid == 0:
            handles = (
                given.fileno() if stdin is not None else os.open(os.devnull, os.O_RDONLY),
                out.fileno(),
                err.fileno(),
            )
            _become(words, cwd, env, handles)
        code = _wait(pid, words, limit_s)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "backslashreplace"))
    return code, texts[0], texts[1]


def _wait(pid: int, words: Sequence[str], limit_s: float) -> int:
    deadline = time.monotonic() + limit_s
    pause = 0.002
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise subprocess.TimeoutExpired(list(words), limit_s)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def _become(words: Sequence[str], cwd: Path, env: Mapping[str, str], handles: Sequence[int]) -> NoReturn:
    """In the child: what exec would have done, then the command."""
    code = 1
    try:
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
        sys.argv = ["atftctl", *words]
        _guard(env)
        rights.forget()
        trust.operators.cache_clear()
        git.forget()
        from atftctl.__main__ import main

        main()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0) if not isinstance(error.code, str) else 1
    except BaseException:  # as an interpreter would end
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 120
        os._exit(code)


def _guard(env: Mapping[str, str]) -> None:
    """No signal may reach a process that no test started: as tests/children/guarded has it for other children."""
    import runpy

    if env.get("ATFTCTL_TEST_VIOLATIONS"):
        runpy.run_path(str(Path(__file__).parent / "children" / "guarded" / "sitecustomize.py"))
