"""Where the tool keeps its own files in a project. One place, so that nothing else spells these names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.errors import OutsideProjectError
from atftctl.host.files.containment import check_relative, resolve_folder_inside

# Of a snapshot's own files; all others in its folder are copies.
MANIFEST = "manifest.json"
CODE_DIFF = "code.diff"
PIN = ".pinned"
OWN = (MANIFEST, CODE_DIFF, PIN)

SNAPSHOT_NAME = re.compile(r"\d{8}_\d{6}(_\d+)?")  # of a snapshot's folder
OURS = (".atftctl", "backups", ".git")  # folders of a project that no snapshot holds


def is_reserved(path: str) -> bool:
    """A path from the project's folder that belongs to the tool, to a repository of git, or to a snapshot itself: no
    record, manifest or runbook may name it as a file to change."""
    parts = Path(path).parts
    return parts[:1] in [(name,) for name in OURS] or ".git" in parts or path in OWN


@dataclass(frozen=True)
class Layout:
    """The paths of one project. Everything of ours is under `.atftctl/`, but snapshots, which people must find."""

    root: Path
    runbook: Path
    outside: tuple[str, ...] = ()  # `files.allow_outside` of the runbook

    def place(self, path: str) -> Path:
        """Where a file that may be changed lies, with no symlink in its folder's name; the file itself may be one.
        Raises OutsideProjectError for what leads out of the project, or is the tool's own."""
        check_relative(path)
        if is_reserved(path):
            raise OutsideProjectError(f"{path!r} belongs to atftctl or to git; it is never changed as a file")
        full = self.root / path
        return resolve_folder_inside(self.root, path, full.parent, self.outside) / full.name

    @property
    def state(self) -> Path:
        return self.root / ".atftctl"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    @property
    def history(self) -> Path:
        return self.state / "history.jsonl"

    @property
    def history_end(self) -> Path:
        """How many lines the history has, and the hash of the last: what `history --check` holds it against."""
        return self.state / "history.end.json"

    @property
    def process(self) -> Path:
        return self.state / "process.json"

    @property
    def reserve(self) -> Path:
        return self.state / "reserve"

    @property
    def operations(self) -> Path:
        return self.state / "operations"

    @property
    def staged(self) -> Path:
        return self.state / "staged.json"

    @property
    def tools(self) -> Path:
        """Private copies of the tool, each as long as the operation that needs it is open."""
        return self.state / "tools"

    @property
    def worktrees(self) -> Path:
        """Git's work trees beside the project's own, each as long as one operation needs it."""
        return self.state / "worktrees"

    @property
    def quarantine(self) -> Path:
        return self.state / "quarantine.jsonl"

    @property
    def bisected(self) -> Path:
        return self.state / "bisected.json"

    @property
    def baseline(self) -> Path:
        return self.state / "baseline.json"

    @property
    def verified(self) -> Path:
        return self.state / "verified.jsonl"

    @property
    def checked(self) -> Path:
        return self.state / "checked.json"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    def snapshot(self, name: str) -> Path:
        return self.backups / name

    def manifest(self, name: str) -> Path:
        return self.backups / name / MANIFEST
