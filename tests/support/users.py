"""Run commands as another user; only root can run these tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.projects import Ended, Project, make_project

ALICE, BOB, TEAM = 12001, 12002, 12500
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@contextmanager
def open_project_of(uid: int, gid: int = 0) -> Iterator[Project]:
    """Create a project that belongs to this user, in a folder that all users may enter, unlike pytest's folders."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        project = make_project(Path(folder) / "project", Path(folder) / "violations")
        give(project.root, uid, gid or uid)
        yield project


def give(root: Path, uid: int, gid: int) -> None:
    """Give a folder and everything in it to this user."""
    for path in (root, *root.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


def run_as(
    project: Project,
    uid: int,
    *arguments: str,
    groups: Sequence[int] = (),
    config: Path | None = None,
    cwd: Path | None = None,
) -> Ended:
    """Run a command as this user, who may read everything (the interpreter is in root's home) and write their own files.

    `config`: a folder for XDG_CONFIG_HOME.
    """
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not there (util-linux)")
    ids = ["--reuid", str(uid), "--regid", str(groups[0] if groups else uid)]
    more = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    caps = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    argv = ["setpriv", *ids, *more, *caps, sys.executable, "-m", "atftctl", *arguments]
    env = {**project.env, "HOME": "/nonexistent", "XDG_CONFIG_HOME": str(config or "/nonexistent")}
    done = subprocess.run(
        argv, cwd=cwd or project.root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def trusting(folder: Path, uid: int, line: str) -> Path:
    """Create a folder for XDG_CONFIG_HOME whose atftctl/config.yaml holds this line."""
    path = folder / "atftctl" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n")
    for place in (folder, path.parent, path):
        os.chown(place, uid, uid)
    return folder
