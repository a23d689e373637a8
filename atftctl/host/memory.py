"""How much memory this process and its children may still take: of the machine, and of its cgroup."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
MB = 1 << 20
# Usage, limit and the page cache that the kernel gives back first, by version of cgroups.
V2 = ("memory.current", "memory.max", "inactive_file")
V1 = ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")


def available_mb(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """The memory in MB that can be taken without swapping; 0 where it is not known, and at least 1
    otherwise. A limit of the cgroup or of one
    above it counts where it leaves less than the machine has. `proc`, `cgroups`: where these file systems are."""
    values = [value for value in (_of_machine(proc), *_of_cgroups(proc, cgroups)) if value is not None]
    return max(1, min(values) // MB) if values else 0


def _of_machine(proc: Path) -> int | None:
    for line in _text(proc / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            with suppress(ValueError, IndexError):
                return int(value.split()[0]) * 1024
    return None


def _of_cgroups(proc: Path, cgroups: Path) -> list[int]:
    """What each cgroup with a limit leaves, in bytes, from our own up to the root."""
    rooms = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        root, names = (cgroups / "memory", V1) if controllers else (cgroups, V2)
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            room = _room(place, names)
            if room is not None:
                rooms.append(room)
            if place == root:
                break
    return rooms


def _room(folder: Path, names: tuple[str, str, str]) -> int | None:
    """What a cgroup may still take, in bytes; None where it has no limit."""
    usage, limit, reclaimable = names
    try:
        most, used = int(_text(folder / limit)), int(_text(folder / usage))
    except ValueError:  # "max", or no such file
        return None
    fields = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    given_back = fields.get(reclaimable, "0")
    return most - used + (int(given_back) if given_back.isdigit() else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
