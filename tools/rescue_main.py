"""The first code of the one-file rescue copy: unpack the packages into a private folder and start `atftctl`.

shiv's own start unpacks into ~/.shiv and fails where the home folder is full, read-only or missing. Here each place
of `places` is tried in turn. A place is used only if nobody else can write there: what is unpacked is executed,
possibly by root.
Standard library only; runs on a machine where anything else may be broken.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ARCHIVE = Path(sys.argv[0]).resolve()
SHARED = ("/var/tmp", "/tmp", "/dev/shm")  # noqa: S108 - a private folder is made there, and checked


def places() -> Iterator[Path]:
    """Yield the folders to unpack into, best first: one of the user's choice, the cache, private temporary ones."""
    if os.environ.get("SHIV_ROOT"):
        yield Path(os.environ["SHIV_ROOT"])
    home = os.environ.get("HOME", "")
    if home.startswith("/"):
        yield Path(home, ".cache", "atftctl")
    yield Path(f"/run/user/{os.geteuid()}", "atftctl")
    for folder in SHARED:
        yield Path(folder, f"atftctl-{os.geteuid()}")


def is_private(folder: Path) -> bool:
    """Tell whether only we (or root) can write to this folder, or exchange it for another one."""
    facts = folder.lstat()
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
    return ours and all(is_safe_parent(parent) for parent in folder.parents)


def is_safe_parent(folder: Path) -> bool:
    """Tell whether nobody else can rename what lies in this folder: not writable by others, or sticky as /tmp is."""
    facts = folder.stat()
    return facts.st_uid in (0, os.geteuid()) and (not facts.st_mode & 0o022 or bool(facts.st_mode & stat.S_ISVTX))


def unpack(place: Path, build_id: str) -> Path:
    """Return the unpacked copy of this archive below `place`, made now if it is not there. Raises OSError."""
    place = place.absolute()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = place.resolve()
    if not is_private(place):
        raise PermissionError(f"{place} could be written by another user")
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        raise PermissionError(f"{place} is mounted noexec: compiled modules can't be loaded from there")
    home = place / f"{ARCHIVE.stem}_{build_id[:16]}"
    with zipfile.ZipFile(ARCHIVE) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.startswith("site-packages/")]
        if is_whole(home, entries):
            return home
        shutil.rmtree(home, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(dir=place))
        try:
            archive.extractall(temporary, entries)
            with contextlib.suppress(OSError):  # another process was faster: its copy is the same
                temporary.rename(home)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return home


def is_whole(home: Path, entries: list[zipfile.ZipInfo]) -> bool:
    """Tell whether every file is there with its size: after a power cut, files may be empty. A sync of all disks could
    wait for a broken one."""
    try:
        return all((home / entry.filename).stat().st_size == entry.file_size for entry in entries)
    except OSError:
        return False


def find_home() -> Path:
    """Return the unpacked copy in the first place that takes it; exit with all the reasons where none does."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        build_id = json.loads(archive.read("environment.json"))["build_id"]
    reasons = []
    for place in places():
        try:
            home = unpack(place, build_id)
        except OSError as error:
            reasons.append(f"  {place}: {error.strerror or error}")
            continue
        if home.is_dir():
            return home
    lines = "\n".join(reasons)
    sys.exit(f"{ARCHIVE.name} found no folder to unpack into:\n{lines}\nname one: SHIV_ROOT=/folder {ARCHIVE.name} ...")


def main() -> None:
    """Put the unpacked packages before the interpreter's own ones, and start."""
    tag = json.loads(zipfile.ZipFile(ARCHIVE).read("environment.json"))["python"]
    if list(sys.version_info[:2]) != tag:
        wanted = ".".join(map(str, tag))
        sys.exit(f"{ARCHIVE.name} needs Python {wanted} (found {sys.version.split()[0]}): python{wanted} {ARCHIVE} ...")
    packages = str(find_home() / "site-packages")
    sys.path[1:1] = [packages]  # sys.path[0] is the archive itself
    os.environ["ATFTCTL_PACKAGES"] = packages  # for a private copy of the tool, which is a process of its own
    from atftctl.__main__ import main as start

    start()


if __name__ == "__main__":
    main()
