"""Git, as facts beside a snapshot and as the home of a scratch copy. A machine without git loses these, and
nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def head(root: Path) -> tuple[str, bool]:
    """(commit, dirty) of the work tree; ("", False) where there is no git, no repository or no commit yet.

    Two calls of the git command: importing GitPython costs 110 ms that an emergency does not have.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return "", False
    return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))


def tracked_files(root: Path) -> list[str]:
    """Files that git tracks below `root`, and those that it would not ignore; empty without a repository."""
    return [name for name in _git(root, "ls-files", "-z", "-co", "--exclude-standard").split("\0") if name]


def create_repository(root: Path, message: str) -> str:
    """A new repository with everything in `root` as its first commit; the commit's id."""
    import git

    repository = git.Repo.init(root, initial_branch="main")
    with repository.config_writer() as config:
        config.set_value("user", "name", "atftctl")
        config.set_value("user", "email", "atftctl@localhost")
        config.set_value("commit", "gpgsign", "false")
    repository.git.add("--all")
    repository.git.commit("--quiet", "--no-verify", "-m", message)
    return str(repository.head.commit.hexsha)


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return os.fsdecode(done.stdout).strip("\n") if done.returncode == 0 else ""
