"""Snapshots in tests: take them, check them, damage them."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.snapshot import Snapshot
from atftctl.host.files.fingerprint import sha256_file
from atftctl.observe.snapshots import catalog
from atftctl.operations import undo as undoing
from atftctl.operations.backup import create as backup
from atftctl.operations.backup import verify as check_backups
from atftctl.operations.project import now, open_for_rescue, open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from atftctl.state import verified
from atftctl.state.layout import Layout
from tests.support.projects import CONFIG, RUNBOOK, Project

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


def find_snapshot(root: Path, name: str) -> Snapshot:
    return next(snapshot for snapshot in catalog.list_snapshots(layout_of(root)) if snapshot.id == name)


def hold_also(root: Path, paths: str) -> None:
    """Make snapshots hold these files too: paths as the runbook has them, separated by commas."""
    Project(root).replace(RUNBOOK, "also: []", f"also: [{paths}]")


def mark_verified(root: Path) -> None:
    """Record the current config and model as verified, as a passing `verify` does."""
    names = (CONFIG, "models/best_model.pth")
    layout_of(root).state.mkdir(exist_ok=True)
    verified.mark_verified(layout_of(root), {name: str(sha256_file(root / name)) for name in names}, {}, now())


def roll_back_and_undo(root: Path) -> None:
    """Check the whole emergency path: roll back, undo, and everything is as before."""
    before = (root / CONFIG).read_bytes()
    routes.immediate(open_project(root), RestartPolicy(restart=False), Request())
    undoing.undo(open_for_rescue(root), "", RestartPolicy(restart=False), Request())
    assert (root / CONFIG).read_bytes() == before
