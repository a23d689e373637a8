"""The command lines of the processes that run in a folder."""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES = 1 << 16  # of one command line


def commands_in(folder: Path) -> list[tuple[str, ...]]:
    """The command lines of processes whose working folder is this one; not of our own process and of those that
    started it. What can't be read is left out."""
    ours, lines = _ancestors(), []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in ours:
            continue
        try:
            if os.readlink(f"/proc/{name}/cwd") != str(folder):
                continue
            with Path(f"/proc/{name}/cmdline").open("rb") as file:
                data = file.read(MOST_BYTES)
        except OSError:
            continue
        if data:
            lines.append(tuple(os.fsdecode(word) for word in data.rstrip(b"\0").split(b"\0")))
    return lines


def _ancestors() -> set[int]:
    pids, pid = set[int](), os.getpid()
    while pid > 1 and pid not in pids:
        pids.add(pid)
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            pid = int(text[text.rindex(")") + 2 :].split()[1])
        except (OSError, ValueError):
            break
    return pids
