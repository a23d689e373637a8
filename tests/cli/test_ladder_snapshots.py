"""`resume: snapshot`: a symptom that goes back to the models of the newest verified-good snapshot."""

from __future__ import annotations

import os
import signal
from hashlib import sha256

import pytest

from atftctl.operations.project import now
from atftctl.state import verified
from tests.cli.test_ladder import DIVERGED, anomaly
from tests.support.pending import history
from tests.support.projects import RUNBOOK, Ended, Project, processes_of, wait_for
from tests.support.rungs import LAST, checkpoint, use_grading
from tests.support.snapshots import layout_of, mark_verified

BEST = "models/best_model.pth"
A, B, BEST_A, BEST_B = (checkpoint(word, step) for step, word in enumerate(("a", "b", "best a", "best b")))


@pytest.fixture
def project(project: Project) -> Project:
    """The symptom divergence resumes from a snapshot; two are verified-good: the older one holds "a", the newer "b"."""
    use_grading(project)
    old = "    resume: best  # last.pth may contain the diverged weights\n"
    project.replace(RUNBOOK, old, "    resume: snapshot\n    resume_grade: quality\n    again: checkpoint\n")
    for last, best in ((A, BEST_A), (B, BEST_B)):
        project.write(LAST, last)
        project.write(BEST, best)
        assert project.run("backup").code == 0
        mark_verified(project.root)
    project.write(LAST, checkpoint("diverged", 3))
    project.write(BEST, checkpoint("best so far", 3))
    return project


def dies(project: Project) -> None:
    os.kill(project.record()["pid"], signal.SIGKILL)
    wait_for(lambda: not processes_of(project.root))
    anomaly(project, 430)


def resumed_with(project: Project, done: Ended) -> tuple[str, bytes, bytes]:
    """(the snapshot that a rollback went back to, the models that its trainer started with)."""
    assert done.code == 0, done
    [note] = [note for note in done.json["data"]["plan"]["notes"] if note.startswith("the trainer resumes from")]
    name = str(note.split()[-1])
    return name, *(project.read(f"backups/{name}/{path}") for path in (LAST, BEST))


def test_it_goes_back_to_a_snapshot_then_to_an_earlier_one_and_then_stops(project: Project) -> None:
    before = project.read(LAST), project.read(BEST), project.configs()
    shown = project.run("rollback", "--symptom", "divergence", "--dry-run")
    assert shown.code == 0 and (project.read(LAST), project.read(BEST), project.configs()) == before
    assert "of the verified-good snapshot" in " ".join(shown.out.split()), shown
    project.start_trainer()
    dies(project)
    done = project.run(*DIVERGED, "--json")
    name, last, best = resumed_with(project, done)
    assert project.record()["resume"] == "best", "what verify has evaluated"
    assert last == B and project.read(BEST) == best == BEST_B
    assert project.run("trainer", "stop").code == 0 and project.run("undo", "--yes", "--no-restart").code == 0
    assert project.read(BEST) == before[1] and project.configs() == before[2]
    project.start_trainer()
    dies(project)
    assert resumed_with(project, project.run(*DIVERGED, "--json"))[0] == name, "what was undone was not tried"
    dies(project)
    second = resumed_with(project, project.run(*DIVERGED, "--json"))
    assert second[0] != name and second[1] == A
    dies(project)
    stopped = project.run(*DIVERGED)
    assert stopped.code == 3 and "no further remedy is left" in stopped.out + stopped.err, stopped


def test_the_models_that_the_trainer_starts_from_are_in_place(project: Project) -> None:
    done = project.run(*DIVERGED, "--no-restart", "--json")
    assert resumed_with(project, done)[1:] == (project.read(LAST), project.read(BEST))
    again = project.run(*DIVERGED, "--no-restart")
    assert again.code == 3 and "nothing is left" in again.err, again


def test_under_a_running_trainer_only_settings_change(project: Project) -> None:
    project.start_trainer()
    last = project.read(LAST)
    done = project.run(*DIVERGED, "--no-restart", "--json")
    assert done.code == 0 and done.json["data"]["changes"] and project.read(LAST) == last, done
    assert project.run("trainer", "stop").code == 0


def test_without_a_good_snapshot_it_is_refused(project: Project) -> None:
    for name in os.listdir(project.root / "backups"):
        if (path := project.root / "backups" / name / LAST).exists():
            path.unlink()
    before = project.tree()
    done = project.run(*DIVERGED)
    assert done.code == 3 and "no undamaged verified-good snapshot" in done.err and "backup list" in done.err, done
    assert {name for name in project.tree() if name not in before} <= {".atftctl/lock"}


def test_staged_goes_back_to_it_too(project: Project) -> None:
    project.replace(RUNBOOK, "window_steps: 300", "window_steps: 20")
    project.start_trainer()
    dies(project)
    done = project.run("rollback", "--staged", "--symptom", "divergence", "--yes", "--json")
    entry = next(entry for entry in history(project) if entry["operation"] == done.json["data"]["operations"][0])
    assert entry["about"]["checkpoint"].endswith(BEST) and BEST in [file["path"] for file in entry["files"]], entry


def test_what_verify_has_evaluated_is_resumed_from(project: Project) -> None:
    """Here it was the last one."""
    verified.mark_verified(layout_of(project.root), {LAST: sha256(B).hexdigest()}, {}, now())
    done = project.run(*DIVERGED, "--no-restart", "--json")
    assert done.code == 0 and history(project)[-1]["about"]["checkpoint"].endswith(LAST), done
