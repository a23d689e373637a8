"""Snapshots in tests: take them, check them, damage them."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.operations.backup import create as backup
from atftctl.operations.backup import verify as check_backups
from atftctl.operations.project import open_project
from atftctl.operations.request import Request
from atftctl.state.layout import Layout
from tests.support.projects import RUNBOOK

KEEP = "keep: {last: 10, hourly: 24, daily: 7, weekly: 4, monthly: 12, within: 2d}"  # as the runbook has it
KEEP_ONE = "keep: {last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, within: 0h}"


def layout_of(root: Path) -> Layout:
    return Layout(root=root, runbook=root / RUNBOOK)


def take(root: Path, label: str = "", *, pin: bool = False) -> str:
    """Take a snapshot and return its id."""
    return str(backup.create(open_project(root), label, "", Request(), pin=pin).data["id"])


def problems(root: Path) -> dict[str, list[str]]:
    """What `backup verify --all` finds wrong, by snapshot."""
    verified = check_backups.verify(open_project(root), (), Request(), everything=True)
    return dict(verified.data["problems"])


def flip_bit(path: Path) -> None:
    """Change one bit in the middle of a file as a failing disk does: the file's times stay as they were."""
    facts = path.stat()
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    path.chmod(facts.st_mode & 0o777)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
