"""Projects under git: run git in them, commit, and set up a repository with some history."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.projects import RUNBOOK, Project

# A smoke check that refuses code that says "broken".
SMOKE = """smoke: ["{python}", -c, "import pathlib; assert 'broken' not in pathlib.Path('src/code.py').read_text()"]"""
IGNORED = ".atftctl/\nbackups/\nlogs/\nmodels/\nbehaviour\n"


def git(place: Project | Path, *arguments: str, check: bool = True) -> str:
    """Run git in a project or folder and return its standard output. With `check`, a failure fails the test."""
    folder = place.root if isinstance(place, Project) else place
    argv = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 or not check, f"{argv} ended with {done.returncode}: {done.stderr}"
    return done.stdout.strip()


def commit(project: Project, subject: str, **sources: str | None) -> str:
    """Write (or with None remove) `src/NAME.py` for each source, commit everything, and return the new commit's id."""
    for name, content in sources.items():
        path = f"src/{name}.py"
        if content is None:
            (project.root / path).unlink()
        else:
            project.write(path, content)
    git(project, "add", "-A")
    git(project, "commit", "-qm", subject)
    return git(project, "rev-parse", "HEAD")


def create_repository(project: Project, *options: str, smoke: str = "smoke: []", code: str = "one\n") -> Project:
    """Put the project under git with one commit. `options`: for `git init`; `smoke`: the runbook's smoke check."""
    set_smoke_check(project, smoke)
    project.write(".gitignore", IGNORED)
    git(project, "init", "-q", "-b", "main", *options)
    shutil.rmtree(project.root / ".git/hooks", ignore_errors=True)
    commit(project, "start", code=code)
    return project


def set_smoke_check(project: Project, smoke: str) -> None:
    line = next(line for line in project.read(RUNBOOK).decode().splitlines() if line.startswith("  smoke:"))
    project.replace(RUNBOOK, line, f"  {smoke}")


def with_history(root: Path) -> None:
    """Put the project under git with two commits; the second edits, adds and removes a file."""
    project = Project(root)
    project.write("src/gone.py", "gone\n")
    create_repository(project)
    project.write("src/new/deep.py", "new\n")
    commit(project, "feat: two", code="two\n", gone=None)
