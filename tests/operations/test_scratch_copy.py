"""What the scratch copy of a project has, and what it says that it does not have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from atftctl.domain.errors import Refused
from atftctl.operations.drill.scratch_copy import LARGE, copy_project
from atftctl.operations.project import open_project
from tests.support.projects import RUNBOOK, Project


@pytest.mark.parametrize("with_git", [True, False])
def test_a_copy_has_the_folders_and_small_files_that_git_ignores(root: Path, tmp_path: Path, *, with_git: bool) -> None:
    project = Project(root)
    project.write(".gitignore", "data/\nout/\nmodels/*.pth\n.env\n")
    project.replace(RUNBOOK, "  last: models/last.pth\n", '  last: "out/step-*"\n')
    for name in ("data/small.bin", "out/deep/er/ckpt.pt", "out/step-5/a.pt", "models/net.py", ".env", "logs/old.log"):
        project.write(name, "x")
    with (root / "data/large.bin").open("wb") as file:
        file.truncate(LARGE)
    (root / "linked").symlink_to(tmp_path)
    if with_git:
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    copied = copy_project(open_project(root), tmp_path / "home")
    files = {str(path.relative_to(copied.root)) for path in copied.root.rglob("*") if path.is_file()}
    assert {"data/small.bin", "models/net.py", RUNBOOK} <= files
    assert not files & {"data/large.bin", "out/step-5/a.pt", "models/last.pth", "logs/old.log"}
    assert ".env" not in files
    assert (copied.root / "out/step-5").is_dir() and (copied.root / "logs").is_dir()
    left = " ".join(map(str, copied.left_out))
    assert "data/large.bin (67.1 MB)" in left and "linked (a symbolic link)" in left and "last.pth" not in left, left


def test_what_the_trainer_only_reads_is_linked(root: Path, tmp_path: Path) -> None:
    (root / "data").mkdir()
    with (root / "data/large.bin").open("wb") as file:
        file.truncate(LARGE)
    copied = copy_project(open_project(root), tmp_path / "home", ["data/"])
    assert (copied.root / "data").readlink() == root / "data" and not copied.left_out
    for name in ("nothing", "../..", ""):
        with pytest.raises(Refused, match="does not exist in the project"):
            copy_project(open_project(root), tmp_path / f"home{len(name)}", [name])
