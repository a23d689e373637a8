"""What a snapshot starts from: which files, what stands beside them, which copies it may rely on."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.apply.snapshots.take import SnapshotSpec
from atftctl.domain.facts import ConfigFile
from atftctl.domain.snapshot import Snapshot
from atftctl.host import locks
from atftctl.host.files.fingerprint import sha256_file
from atftctl.observe import configs as observed_configs
from atftctl.observe.snapshots import catalog
from atftctl.observe.snapshots.secret_names import git_patterns
from atftctl.observe.snapshots.sources import Sources
from atftctl.operations.project import Project
from atftctl.state import verified
from atftctl.state.baseline import figures


def taking(
    project: Project,
    known: tuple[Snapshot, ...],
    configs: Mapping[str, ConfigFile],
    found: Sources | None = None,
    *,
    label: str = "",
    reason: str = "",
    pin: str = "",
) -> SnapshotSpec:
    """`known`, `configs`: as they stand, under the lock. `found`: the files to take; an operation says its own."""
    layout, runbook = project.layout, project.runbook
    files = runbook.files
    about = Snapshot(
        id="", created="", label=label, reason=reason, files=(),
        operator=locks.operator(),
        runbook_sha256=sha256_file(layout.runbook) or "",
        config_digest=observed_configs.digest(configs),
        baseline=figures(project.layout),
        left_out=found.left_out if found else {},
    )  # fmt: skip
    return SnapshotSpec(
        about=about,
        paths=found.paths if found else (),
        reliance=catalog.reliance(layout, known, runbook.backups.recheck_s),
        passes=verified.passes(layout),
        kept_elsewhere=files.of(""),
        secrets=git_patterns(),
        pin=pin,
    )
