"""Collect what a snapshot starts from: its files, what is recorded with them, the copies that it may link to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from atftctl.apply.snapshots.take import SnapshotSpec
from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.units import Unit
from atftctl.host import locks
from atftctl.host.errors import reason as reason_of
from atftctl.host.files.fingerprint import sha256_file
from atftctl.observe import configs as observed_configs
from atftctl.observe.snapshots import catalog
from atftctl.observe.snapshots.secret_names import git_patterns
from atftctl.observe.snapshots.sources import Sources, is_unit, present_files
from atftctl.operations.project import Project
from atftctl.protocol.messages import tr
from atftctl.state import verified
from atftctl.state.baseline import figures


def present_in(project: Project, units: Sequence[Unit]) -> dict[str, Sequence[str]]:
    """The files that are now in these places, by their names. Raises Refused where one can't be read."""
    history = project.runbook.checkpoints.history
    try:
        return {unit.name: present_files(project.layout, unit.name, history) for unit in units}
    except OSError as error:
        raise Refused(tr("can't read {path}: {why}", path=error.filename, why=reason_of(error))) from None


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
    models, history = runbook.files.models, runbook.checkpoints.history
    return SnapshotSpec(
        about=about,
        paths=sources.paths if sources else (),
        reliance=catalog.reliance(layout, known, runbook.backups.recheck_s),
        passes=verified.passes(layout),
        kept_elsewhere=runbook.files.of(""),
        secrets=git_patterns(),
        pin=pin,
        units=sources.whole if sources else tuple(name for name in models if is_unit(layout, name)),
        listing=lambda name: present_files(layout, name, history),
    )
