"""Verified-good without a probe, for a trainer that replaces its checkpoint more often than it can be verified."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from atftctl.host.files.fingerprint import sha256_file
from atftctl.operations.project import open_project
from atftctl.operations.verification import marking, run_metrics
from tests.support.projects import CONFIG, RUNBOOK, Project
from tests.support.snapshots import layout_of, take

BEST = "models/best_model.pth"


def save(path: Path, content: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)


def test_the_checkpoint_in_the_newest_snapshot_of_the_run_counts(project: Project) -> None:
    save(project.root / BEST, "of an earlier run")
    os.utime(project.root / BEST, (1, 1))
    before = {CONFIG: str(sha256_file(project.root / CONFIG))}
    model = {"path": BEST, "own": True}
    layout = layout_of(project.root)
    assert marking._copied_from_run(layout, before, model) == {}
    project.start_trainer()
    take(project.root)
    assert marking._copied_from_run(layout, before, model) == {}, "it was not saved by this run"
    save(project.root / BEST, "of this run")
    saved = {BEST: str(sha256_file(project.root / BEST))}
    take(project.root)
    save(project.root / BEST, "already the next one")
    assert marking._copied_from_run(layout, before, model) == saved
    assert marking._copied_from_run(layout, {CONFIG: "0" * 64}, model) == {}, "other configs"
    assert marking._copied_from_run(layout, before, {"path": BEST}) == {}, "a probe has evaluated a file"
    assert run_metrics._memory_now(open_project(project.root)) == {}, "the metrics tell it"
    text = project.read(RUNBOOK).decode()
    project.write(RUNBOOK, "".join(line for line in text.splitlines(True) if not line.startswith("  memory: ")))
    assert run_metrics._memory_now(open_project(project.root))["memory_mb"] > 1
