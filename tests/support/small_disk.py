"""A real disk that is full: a small tmpfs, which only root can mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "24m") -> Iterator[Path]:
    """A tmpfs of this size at this folder, for the block."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(disk: Path) -> None:
    """Not a byte and not a block is left."""
    for size in (1 << 20, 1 << 12, 1):
        with (disk / f"fill{size}").open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
