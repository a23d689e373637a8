"""Collect what a snapshot starts from: its files, what is recorded with them, the copies that it may link to."""

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


def snapshot_spec(
    project: Project,
    known: tuple[Snapshot, ...],
    configs: Mapping[str, ConfigFile],
    sources: Sources | None = None,
    *,
    label: str = "",
    reason: str = "",
    pin: str = "",
) -> SnapshotSpec:
    """Return the spec of a snapshot.

    `known`, `configs`: the snapshots and configs, observed under the lock. `sources`: the files to copy; None for the
    safety snapshot of an operation, which names its own.
    """
    layout, runbook = project.layout, project.runbook
    about = Snapshot(
        id="",
        created="",
        label=label,
        reason=reason,
        files=(),
        operator=locks.operator(),
        runbook_sha256=sha256_file(layout.runbook) or "",
        config_digest=observed_configs.digest(configs),
        baseline=figures(layout),
        left_out=sources.left_out if sources else {},
    )
    return SnapshotSpec(
        about=about,
        paths=sources.paths if sources else (),
        reliance=catalog.reliance(layout, known, runbook.backups.recheck_s),
        passes=verified.passes(layout),
        kept_elsewhere=runbook.files.of(""),
        secrets=git_patterns(),
        pin=pin,
    )
