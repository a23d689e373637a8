"""Memory of graphics cards, as the driver's own tool tells it. A machine without one has none to wait for."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable

POLL_S = 0.2
ANSWER_S = 5.0


def holders() -> set[int]:
    """Processes that hold memory of a card."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return set()
    argv = [tool, "--query-compute-apps=pid", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return {int(word) for word in done.stdout.split() if word.isdigit()}


def await_released(pids: Iterable[int], limit_s: float) -> set[int]:
    """Wait until none of these dead processes holds memory of a card any more; those that still do at the end."""
    wanted, deadline = set(pids), time.monotonic() + limit_s
    while (left := wanted & holders()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left
