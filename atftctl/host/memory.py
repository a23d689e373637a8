"""How much memory this process and its children may still take: of the machine, and of its cgroup."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
MB = 1 << 20
Names = tuple[str, str, str, str]
# Usage, limit, the page cache that the kernel gives back first, and the count of kills, by version of cgroups.
V2 = ("memory.current", "memory.max", "inactive_file", "memory.events")
V1 = ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file", "memory.oom_control")


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


def kill_count(proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[int, str, int]:
    """(how many processes the kernel has killed for memory in our cgroup and those below it, the file that says so,
    below `cgroups`, its inode); (-1, "", 0) where that can't be seen. A cgroup above ours counts others' processes,
    too. `proc`, `cgroups`: as above."""
    for folder, names in _own(proc, cgroups):
        path = folder / names[3]
        with suppress(OSError, ValueError):
            name, inode = str(path.relative_to(cgroups)), path.stat().st_ino
            if (count := oom_kills(name, inode, cgroups)) >= 0:
                return count, name, inode
    return -1, "", 0


def oom_kills(name: str, inode: int, cgroups: Path = CGROUPS) -> int:
    """The count of the file that `kill_count` named; -1 where it is gone, or another one by now."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.name not in (V1[3], V2[3]):
        return -1
    with suppress(OSError):
        if (cgroups / path).stat().st_ino == inode and (count := _kills(cgroups / path)) is not None:
            return count
    return -1


def _kills(path: Path) -> int | None:
    fields = dict(line.split(" ", 1) for line in _text(path).splitlines() if " " in line)
    count = fields.get("oom_kill", "")
    return int(count) if count.isdigit() else None


def _of_cgroups(proc: Path, cgroups: Path) -> list[int]:
    """What each cgroup with a limit leaves, in bytes, from our own up to the root."""
    rooms = (_room(folder, names) for folder, names in _places(proc, cgroups))
    return [room for room in rooms if room is not None]


def _places(proc: Path, cgroups: Path) -> list[tuple[Path, Names]]:
    """The folders of our cgroup and of those above it, up to the root, and the names of the files in them."""
    places = []
    for folder, names in _own(proc, cgroups):
        root = cgroups / "memory" if names is V1 else cgroups
        for place in (folder, *folder.parents):
            places.append((place, names))
            if place == root:
                break
    return places


def _own(proc: Path, cgroups: Path) -> list[tuple[Path, Names]]:
    """The folder of our cgroup, by version of cgroups."""
    own = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        root, names = (cgroups / "memory", V1) if controllers else (cgroups, V2)
        own.append((root / path.lstrip("/"), names))
    return own


def _room(folder: Path, names: Names) -> int | None:
    """What a cgroup may still take, in bytes; None where it has no limit."""
    usage, limit, reclaimable, _ = names
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
