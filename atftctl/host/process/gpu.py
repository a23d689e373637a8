"""Memory of graphics cards, as nvidia-smi reports it. On a machine without nvidia-smi no process holds any."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable

POLL_S = 0.2
ANSWER_S = 5.0  # that nvidia-smi may take


def holders() -> set[int]:
    """The pids of processes that hold memory of a graphics card."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return set()
    argv = [tool, "--query-compute-apps=pid", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return {int(pid) for pid in done.stdout.split() if pid.isdigit()}


def await_released(pids: Iterable[int], limit_s: float) -> set[int]:
    """Wait up to `limit_s` seconds until none of these ended processes holds memory of a graphics card; return those
    that still do."""
    wanted, deadline = set(pids), time.monotonic() + limit_s
    while (left := wanted & holders()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left
