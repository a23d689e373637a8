"""Mark what passed the checklist as verified-good, and keep what failed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from atftctl.domain.checkpoint import LEAST_STEPS, Grade, Graded, reaches
from atftctl.domain.facts import ConfigFile
from atftctl.domain.units import holds
from atftctl.domain.verdict import Check
from atftctl.host.errors import HostError
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.fingerprint import sha256_file
from atftctl.observe.log_files.errors import started_at
from atftctl.observe.snapshots import catalog
from atftctl.operations.change.project_lock import locked
from atftctl.operations.confirm import by_verify
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request
from atftctl.protocol.messages import Message, tr
from atftctl.state import failed_checks, grades, process_record, quarantine, verified
from atftctl.state.layout import Layout


def mark(
    project: Project,
    before: Mapping[str, str],
    config_digest: str,
    model: Mapping[str, Any],
    checks: Mapping[str, str],
    request: Request,
) -> tuple[str, ...]:
    """Mark exactly what was checked as verified-good; return lines that say what to do next.

    Marked are the configs that were read (`before`: their SHA-256 by path) and the model file that was evaluated
    (`model`: its `path` and `sha256`; `files`: SHA-256 by path where it is a folder), also where the trainer has
    replaced it. `checks`: what each check measured.
    """
    layout = project.layout
    models = dict(model.get("files") or {model["path"]: model["sha256"]})
    checked = {**before, **models}
    current = {path: _sha256(layout, path) for path in checked}
    if any(current[path] != digest for path, digest in before.items()):
        return (
            tr("a config was changed during the check: nothing was marked as verified-good"),
            tr("next: atftctl verify"),
        )
    with locked(project, "verify", request):
        verified.mark_verified(layout, checked, checks, now())
        if copied := _copied_from_run(layout, before, model):
            verified.mark_verified(layout, {**before, **copied}, checks, now())
            checked = {**before, **copied}
        with suppress(OSError, HostError):  # a grade that is not recorded is measured again
            grades.record(layout, _graded(project, model["sha256"], config_digest))
        if quarantine.reason(layout, config_digest):
            quarantine.lift(layout, config_digest, "verify passed", now())
        confirmed = by_verify(project, request)
    replaced = any(current[path] != digest for path, digest in models.items())
    return (*confirmed, *_marked(layout, checked, str(model["path"]), replaced=replaced))


def _copied_from_run(layout: Layout, before: Mapping[str, str], model: Mapping[str, Any]) -> dict[str, str]:
    """The model in the newest snapshot of the running trainer, by path, where the metrics of the run were judged and no
    probe has evaluated a file: a checkpoint of the same name that this run has saved, with the same configs, whole when
    it was copied. A trainer that saves often has replaced the file by the time that it is judged. {} for none."""
    run = process_record.read(layout)
    began = started_at(run) if run else None
    if not model.get("own") or began is None:
        return {}
    for snapshot in reversed(catalog.list_snapshots(layout)):
        files = [file for file in snapshot.files if holds((str(model["path"]),), file.path)]
        saved = any(file.zip == "whole" and file.mtime_ns >= began * 1e9 for file in files)
        if saved and not any(file.damaged for file in files) and before.items() <= snapshot.digests().items():
            return {file.path: file.sha256 for file in files}
    return {}


def _sha256(layout: Layout, path: str) -> str:
    """The hash of what lies there now; "" where it is gone, or is no file of the project."""
    try:
        return sha256_file(resolve_inside(layout.root, path)) or ""
    except (OSError, HostError):
        return ""


def keep_failure(project: Project, files: Mapping[str, ConfigFile], checks: Sequence[Check]) -> None:
    """Keep that these configs failed, for the page of the operation that wrote them. Raises nothing: the verdict is
    told in any case."""
    digests = {path: config.sha256 for path, config in files.items() if config.sha256}
    results = {check.name: (check.verdict.value, check.detail) for check in checks}
    with suppress(OSError, HostError):
        failed_checks.record(project.layout, digests, results, now())


def _graded(project: Project, sha256: str, config_digest: str) -> Graded:
    """The grade that a passing checklist gives. A grade includes those before it: where too few steps were trained, it
    is `quality` only where the steps are known to be good already."""
    steps = project.runbook.checks.probe_steps
    known = grades.read(project.layout).get((sha256, config_digest))
    enough = steps >= LEAST_STEPS or (known is not None and reaches(known.grade, "steps"))
    grade: Grade = "quality" if enough else "loads"
    return Graded(sha256, grade, config=config_digest, at=now().isoformat(timespec="seconds"), steps=steps)


def _marked(layout: Layout, checked: Mapping[str, str], model: str, *, replaced: bool) -> tuple[Message, ...]:
    """Say what the mark means. `checked`: SHA-256 by path. `model`: its path. `replaced`: the trainer replaced it."""
    snapshots = [
        snapshot for snapshot in catalog.list_snapshots(layout) if checked.items() <= snapshot.digests().items()
    ]
    if snapshots:
        return (
            tr("snapshot {id} has exactly these files: it is verified-good now", id=snapshots[-1].id),
            tr("next: atftctl reenable --next"),
        )
    if replaced:
        return (
            tr("the trainer replaced {path} during the check: the new file was not checked", path=model),
            tr("next: atftctl backup, then atftctl verify; after it that snapshot is verified-good"),
        )
    return (tr("next: atftctl backup (that snapshot is verified-good), then atftctl reenable --next"),)
