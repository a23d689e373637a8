"""A folder to measure on whose blocks are all of one kind.

On a thin virtual disk a block that is written for the first time costs several times one that was written before, and
which kind a file gets is chance: `cp` of the same 2 GiB took 1.1 to 2.8 s in one run. So the folder lies in an image
that was written from end to end, mounted through a loop device. Where that can't be done (no root, no loop devices)
it is an ordinary temporary folder, and figures are as steady as its disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PIECE = 64 << 20


@contextmanager
def steady_folder(gib: int) -> Iterator[Path]:
    """An empty folder with so much room; gone afterwards."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        home = Path(folder)
        device = _device(home / "image", gib) if os.geteuid() == 0 and shutil.which("mkfs.ext4") else ""
        if not device:
            print("measured on the disk as it is: figures may vary with the blocks that it gives", file=sys.stderr)
            yield home
            return
        mounted = home / "mounted"
        mounted.mkdir()
        _run("mount", "-o", "nodiscard", device, str(mounted))
        try:
            yield mounted
        finally:
            _run("umount", str(mounted))
            _run("losetup", "-d", device)


def _device(image: Path, gib: int) -> str:
    """A loop device on a file that was written whole, with an empty file system; "" where there is none to be had."""
    if shutil.disk_usage(image.parent).free < (gib + 4) << 30:
        return ""
    noise = os.urandom(PIECE)
    with image.open("wb") as file:
        for _ in range((gib << 30) // PIECE):
            file.write(noise)
        os.fsync(file.fileno())
    words = ["losetup", "-f", "--show", "--direct-io=on", str(image)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    if found.returncode:
        return ""
    device = found.stdout.strip()
    _run("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", device)
    return device


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
