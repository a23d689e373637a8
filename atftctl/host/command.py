"""Run a command to its end: an argument list, a time limit, no shell."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """`code` is None where the time was up; its whole process group was killed then."""

    code: int | None
    output: str


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit_s: float) -> Done:
    """Standard output and error together. The child is in a group of its own, so that nothing of it stays behind."""
    try:
        child = subprocess.Popen(
            list(argv), cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return Done(127, f"can't start {argv[0]}: {error.strerror}")
    try:
        output, _ = child.communicate(timeout=limit_s)
        return Done(child.returncode, output.decode("utf-8", "replace"))
    except subprocess.TimeoutExpired:
        return Done(None, f"not done within {limit_s:g} s")
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
