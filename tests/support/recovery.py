"""For tests that kill a command and recover: copies of a project, its whole state, and records planted in its journal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from atftctl.operations import recover as recovering
from atftctl.operations.project import open_for_rescue
from atftctl.operations.request import Request
from atftctl.state import sealed_records
from tests.support.projects import Project
from tests.support.repositories import git
from tests.support.snapshots import layout_of

TEMPORARY = (".staged", ".back", ".tmp", ".partial", ".gone")  # endings of names that no ended operation leaves behind


def copy_project(template: Path, name: str) -> Path:
    """Copy the project to a folder of this name beside it, in place of an earlier copy."""
    root = template.with_name(name)
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root, symlinks=True)
    return root


def state(root: Path) -> Any:
    """Content and mode of all files that are the user's, and where there is a repository its tree and status."""
    files = {}
    for folder, folders, names in os.walk(root):
        where = os.path.relpath(folder, root)
        if where == ".":
            folders[:] = [name for name in folders if name not in (".atftctl", "backups", ".git", "run")]
        for name in names:
            path = Path(folder, name)
            files[os.path.normpath(f"{where}/{name}")] = (path.read_bytes(), path.stat().st_mode)
    files.pop("runbooks/atft-gat-fan.en.md", None), files.pop("runbooks/atft-gat-fan.ja.md", None)
    if not (root / ".git").exists():
        return files
    return files, git(root, "rev-parse", "HEAD^{tree}"), git(root, "status", "--porcelain")


def recover(root: Path, *, back: bool = False) -> None:
    recovering.recover(open_for_rescue(root), Request(), back=back)


def leftovers(root: Path) -> str:
    """Name temporary files and journal records that are still there; empty where none is."""
    files = [path.name for path in root.rglob(".*") if path.name.endswith(TEMPORARY)]
    records = [path.name for path in layout_of(root).journal.glob("*")]
    return f"temporary files: {files}, journal: {records}" if files or records else ""


def plant_record(project: Project, state: str, body: dict[str, Any], *, intent: dict[str, Any] | None = None) -> None:
    """Write sealed journal records as an operation could have left them: an intent, and a `state` record if named."""
    journal = project.root / ".atftctl/journal"
    journal.mkdir(parents=True, exist_ok=True)
    start = {"operation": "20260101_000000-0000", "command": "rollback", "title": "t", "reason": "", "operator": "o"}
    whole = {**start, "started": "2026-01-01T00:00:00+00:00", "files": [], **(intent or {})}
    sealed_records.write(journal, start["operation"], "intent", whole)
    if state:
        sealed_records.write(journal, start["operation"], state, body)
