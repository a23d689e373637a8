"""`backup`: a snapshot taken on request."""

from __future__ import annotations

from typing import Literal

from atftctl.apply import snapshots
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Snapshot
from atftctl.domain.result import Result
from atftctl.host.files import sha256_file
from atftctl.observe import configs as observed_configs
from atftctl.observe import snapshots as observed_snapshots
from atftctl.operations.change import Request, Stopwatch, locked
from atftctl.operations.project import Project, now
from atftctl.protocol import Exit

RESERVED = ("latest", "last-good")
Only = Literal["", "configs", "models"]


def create(project: Project, label: str, only: Only, request: Request) -> Result:
    files = project.runbook.files
    paths = {"": (*files.configs, *files.models), "configs": files.configs, "models": files.models}[only]
    there = [path for path in paths if (project.layout.root / path).is_file()]
    if not there:
        raise Refused(f"none of these is there: {', '.join(paths)}")
    if label in RESERVED:
        raise Refused(f"{label!r} is a word of restore", then="another label, or none")
    if label and any(label in (one.label, one.id) for one in observed_snapshots.list_snapshots(project.layout)):
        raise Refused(f"a snapshot {label!r} is there already", then="another label, or none")
    if request.dry_run:
        return Result("backup", Exit.DONE, f"dry run: would copy {', '.join(there)}", data={"files": there})
    watch = Stopwatch(request.report)
    with locked(project.layout, "backup", request), watch.part("copy"):
        configs = observed_configs.read_configs(project.layout.root, files.configs)
        snapshot = snapshots.take(
            project.layout, paths,
            now=now(), label=label, reason=request.reason,
            runbook_sha256=sha256_file(project.layout.runbook) or "",
            config_digest=observed_configs.digest(configs),
        )  # fmt: skip
    size = sum(file.size for file in snapshot.files)
    return Result(
        "backup",
        Exit.DONE,
        f"snapshot {snapshot.id}: {len(snapshot.files)} files, {size:,} bytes",
        lines=(f"backups/{snapshot.id}", f"restore: atftctl restore {snapshot.id}"),
        data=describe(snapshot),
        parts=tuple(watch.parts),
    )


def list_all(project: Project) -> Result:
    found = observed_snapshots.list_snapshots(project.layout)
    return Result(
        "backup list",
        Exit.DONE,
        f"{len(found)} snapshots",
        data={"snapshots": [describe(one) for one in found]},
    )


def describe(snapshot: Snapshot) -> dict[str, object]:
    return {
        "id": snapshot.id,
        "created": snapshot.created,
        "label": snapshot.label,
        "reason": snapshot.reason,
        "verified_good": snapshot.verified,
        "operation": snapshot.operation,
        "commit": snapshot.commit,
        "files": [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in snapshot.files],
    }
