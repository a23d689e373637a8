"""The paths of atftctl's own files in a project. No other module writes these names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from atftctl.domain.metric_rules import PROTOCOL, MetricsSource
from atftctl.host.errors import OutsideProjectError
from atftctl.host.files.containment import check_relative, resolve_folder_inside
from atftctl.protocol import COUNTER, PENDING, STAGING
from atftctl.protocol.messages import tr

# Files that every snapshot has; all other files in its folder are copies.
MANIFEST = "manifest.json"
CODE_DIFF = "code.diff"
PIN = ".pinned"
OWN = (MANIFEST, CODE_DIFF, PIN)

SNAPSHOT_NAME = re.compile(r"\d{8}_\d{6}(_\d+)?")  # the name of a snapshot's folder
OURS = (".atftctl", "backups", ".git")  # folders of a project that are never part of a snapshot


def is_reserved(path: str) -> bool:
    """Does this path (relative to the project) belong to atftctl, to git or to a snapshot's own files? No record,
    manifest or runbook may name such a path as a file to change."""
    parts = Path(path).parts
    return parts[:1] in [(name,) for name in OURS] or ".git" in parts or path in OWN


@dataclass(frozen=True)
class Layout:
    """The paths of one project. All files of atftctl are below `.atftctl/`, except snapshots: people must find
    those."""

    root: Path
    runbook: Path
    outside: tuple[str, ...] = ()  # `files.allow_outside` of the runbook
    metrics: MetricsSource = PROTOCOL  # `metrics.files`, `.format` and `.step` of the runbook

    def place(self, path: str) -> Path:
        """The real path of a file that may be changed: no folder in it is a symlink; the file itself may be one. Raises
        OutsideProjectError for a path that leads out of the project or is reserved."""
        check_relative(path)
        if is_reserved(path):
            raise OutsideProjectError(tr("{path!r} belongs to atftctl or to git; it can't be changed", path=path))
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
        """The number of lines of the history and the hash of the last one; `history --check` compares them."""
        return self.state / "history.end.json"

    @property
    def process(self) -> Path:
        return self.state / "process.json"

    @property
    def generation(self) -> Path:
        """The number of the newest start of a trainer; the running trainer reads it, too."""
        return self.root / COUNTER

    @property
    def staging(self) -> Path:
        """The folders in which trainers stage their files, one for each generation. It is not below `.atftctl/`, since
        a trainer may run as another user than atftctl."""
        return self.root / STAGING

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
    def pending(self) -> Path:
        return self.root / PENDING

    @property
    def confirm_timer(self) -> Path:
        return self.state / "confirm-timer.json"

    @property
    def reenable(self) -> Path:
        return self.state / "reenable.json"

    @property
    def reenable_halt(self) -> Path:
        return self.state / "reenable.halt.json"

    @property
    def tools(self) -> Path:
        """Private copies of atftctl's own code. Each is kept as long as the operation that needs it is open."""
        return self.state / "tools"

    @property
    def worktrees(self) -> Path:
        """Git work trees beside the project's own. Each is kept as long as one operation needs it."""
        return self.state / "worktrees"

    @property
    def quarantine(self) -> Path:
        return self.state / "quarantine.jsonl"

    @property
    def bisected(self) -> Path:
        return self.state / "bisected.json"

    @property
    def baselines(self) -> Path:
        return self.state / "baselines"

    @property
    def baseline(self) -> Path:
        """The baseline of a project from before there could be several."""
        return self.state / "baseline.json"

    @property
    def verified(self) -> Path:
        return self.state / "verified.jsonl"

    @property
    def failed_checks(self) -> Path:
        return self.state / "failed_checks.json"

    @property
    def held(self) -> Path:
        return self.state / "held"

    @property
    def grades(self) -> Path:
        """What was measured of checkpoints."""
        return self.state / "checkpoints.json"

    @property
    def alerts(self) -> Path:
        """Alerts that came in."""
        return self.state / "alerts.json"

    @property
    def notifications(self) -> Path:
        """What was told of incidents."""
        return self.state / "notifications.json"

    @property
    def watch(self) -> Path:
        """What a watcher has seen so far of the newest run, and where it goes on."""
        return self.state / "watch.json"

    @property
    def watch_lock(self) -> Path:
        """Held by the one watcher of the project; changes do not need it."""
        return self.state / "watch.lock"

    @property
    def watch_heartbeat(self) -> Path:
        return self.state / "watch.heartbeat.json"

    @property
    def acts(self) -> Path:
        """What the watcher has decided and done."""
        return self.state / "acts.json"

    @property
    def earned(self) -> Path:
        """What was shown about the watcher's false rollbacks."""
        return self.state / "earned.json"

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
