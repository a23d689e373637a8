"""`rollback --full`, the tool's own files, and packages of the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from atftctl.apply import packages as apply_packages
from atftctl.domain.code_steps import Package
from atftctl.observe import packages as observed_packages
from atftctl.state.layout import Layout
from tests.support.needs import needs
from tests.support.projects import CONFIG, ROOT, RUNBOOK, Project
from tests.support.repositories import commit, git

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def own_tree(tmp_path: Path) -> Project:
    """A project that holds the tool itself, as this repository does, and runs it from there."""
    root = tmp_path / "self"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(
        ".git", ".venv", ".*cache", "__pycache__", ".atftctl", "backups", "logs", "models", "cache", "*.egg-info",
        ".hypothesis", "runs",
    ))  # fmt: skip
    project = Project(
        root, {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}, forks=False
    )
    line = next(line for line in project.read(RUNBOOK).decode().splitlines() if line.startswith("  smoke:"))
    project.replace(RUNBOOK, line, '  smoke: ["{python}", -c, "pass"]')
    git(project, "init", "-q", "-b", "main")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "start")
    return project


def test_the_tool_takes_its_own_files_back(own_tree: Project) -> None:
    """Files of `atftctl/` change and go under the running tool, which goes on from its private copy, and comes back."""
    for name in (
        "operations/drill/rehearsal.py",
        "operations/change/readiness.py",
        "cli/render/console.py",
        "state/history.py",
    ):
        (own_tree.root / "atftctl" / name).rename(own_tree.root / "atftctl" / f"{name}.moved")
    git(own_tree, "add", "-A")
    git(own_tree, "commit", "-qm", "break the tool")
    git(own_tree, "revert", "--no-edit", "HEAD")
    assert git(own_tree, "log", "-1", "--format=%s") == 'Revert "break the tool"'
    done = own_tree.run("rollback", "--git", "HEAD", "--yes")
    assert done.code == 0 and "moved" not in done.err, done
    assert not (own_tree.root / "atftctl/operations/change/readiness.py").exists()
    assert git(own_tree, "status", "--porcelain") == ""
    again = subprocess.run(
        [sys.executable, "-m", "atftctl", "undo", "--yes", "--project", str(own_tree.root)],
        env={**own_tree.env, "PYTHONPATH": str(ROOT)}, cwd="/", capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert own_tree.run("status").code == 0


def test_a_kill_between_two_files_of_the_tool_itself(own_tree: Project) -> None:
    """Half of two versions can't be imported: the private copy that the operation ran from goes on."""
    plan, change = "atftctl/domain/plan.py", "atftctl/operations/change/carry_out.py"
    own_tree.replace(plan, "def with_notes(", "MARK = 1\n\n\ndef with_notes(")
    own_tree.replace(
        change,
        "from atftctl.domain.plan import Plan, ",
        "from atftctl.domain.plan import MARK, Plan, ",
    )
    git(own_tree, "commit", "-qam", "feat: mark")
    before = own_tree.read(change)
    own_tree.write(
        "site/sitecustomize.py",
        "import os\nreal = os.replace\n"
        "def replace(source, target, **options):\n"
        "    real(source, target, **options)\n"
        "    if target == 'plan.py': os.kill(os.getpid(), 9)\n"
        "os.replace = replace\n",
    )
    own_tree.write(".gitignore", own_tree.read(".gitignore") + b"site/\n")
    git(own_tree, "commit", "-qam", "ignore")
    path = f"{own_tree.root / 'site'}:{own_tree.root}"
    killed = own_tree.run("rollback", "--git", "HEAD~1", "--yes", env={"PYTHONPATH": path})
    assert killed.code == -9, killed
    assert b"MARK" not in own_tree.read(plan) and own_tree.read(change) == before, "half of two versions"
    imported = subprocess.run(
        [sys.executable, "-c", "import atftctl.operations.change.carry_out"],
        env=own_tree.env, cwd=own_tree.root, capture_output=True, check=False,
    )  # fmt: skip
    assert imported.returncode == 1
    done = own_tree.run("recover")
    assert done.code == 0 and "all files are the new ones; moved the branch" in done.out, done
    assert b"MARK" not in own_tree.read(change) and git(own_tree, "status", "--porcelain") == ""
    assert own_tree.run("undo", "--yes").code == 0 and own_tree.read(change) == before
    own_tree.run("backup")
    assert not list((own_tree.root / ".atftctl/tools").glob("*")), "the private copies are gone"


@needs("torch")
def test_in_full(own_tree: Project) -> None:
    """The improvements' files out, settings of before, and the baseline trains without them: a real probe."""
    own_tree.replace(CONFIG, "stocks: 120", "stocks: 40")
    own_tree.replace(CONFIG, "hidden_size: 32", "hidden_size: 16")
    folder = own_tree.root / "atftctl/trainer/improvements"
    before = {path.name: path.read_bytes() for path in folder.glob("*.py")}
    config = own_tree.read(CONFIG)
    done = own_tree.run("rollback", "--full", "--yes", "--json")
    assert done.code == 0 and "the baseline trains" in str(done.json["data"]["lines"]), done
    assert [path.name for path in folder.glob("*.py")] == ["__init__.py"] and b"use_ema: false" in own_tree.read(CONFIG)
    copies = own_tree.root / "backups" / done.json["data"]["snapshot"] / "atftctl/trainer/improvements"
    assert {path.name for path in copies.glob("*.py")} == set(before) - {"__init__.py"}, "moved, not deleted"
    again = own_tree.run("rollback", "--full", "--yes")
    assert again.code == 3 and "nothing is left" in again.err
    assert own_tree.run("undo", "--yes").code == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.py")} == before and own_tree.read(CONFIG) == config


def test_files_of_before_come_back_from_a_ref(repository: Project) -> None:
    before = git(repository, "rev-parse", "HEAD")
    commit(repository, "feat: x", code="improved\n", new="x\n")
    repository.replace(RUNBOOK, "  files: []\n  packages", "  files: [src/code.py]\n  packages")
    removed = [line for line in repository.read(RUNBOOK).decode().splitlines() if "trainer/improvements/" in line]
    for line in removed:
        repository.replace(RUNBOOK, f"{line}\n", "    - src/new.py\n" if line == removed[0] else "")
    done = repository.run("rollback", "--full", "--ref", before, "--yes", "--no-restart")
    assert repository.read("src/code.py") == b"one\ntwo\nthree\nfour\nfive\n", done
    assert not (repository.root / "src/new.py").exists()
    assert repository.run("rollback", "--full", "--ref", "nonsense", "--yes").code == 3
    assert repository.run("undo", "--yes").code == 0 and repository.read("src/code.py") == b"improved\n"


def test_packages_go_and_come_back_without_a_network(tmp_path: Path) -> None:
    """In an environment of its own, with a package made here."""
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = str(home / "bin/python")
    for name, requires in (("needed-by-nobody", ""), ("needed", ""), ("needs", "needed")):
        source = tmp_path / name
        module = name.replace("-", "_")
        source.mkdir()
        (source / f"{module}.py").write_text("value = 42\n")
        site = Path(subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip())  # fmt: skip
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (site / f"{module}.py").write_text("value = 42\n")
        lines = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{lines}")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text(
            f"{module}.py,,\n{info.name}/METADATA,,\n{info.name}/INSTALLER,,\n{info.name}/RECORD,,\n"
        )
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from atftctl.apply import packages
from atftctl.state.layout import Layout
from atftctl.observe.packages import removable
layout = Layout(Path({str(tmp_path)!r}), Path("x"))
found, kept = removable(["needed_by_nobody", "needed", "not-there"])
assert [one.name for one in found] == ["needed-by-nobody"] and "needs" in kept["needed"], (found, kept)
record = {{"away": True, "packages": [vars(one) for one in packages.keep(layout, "op", found)]}}
packages.change(layout, record); packages.change(layout, record)
assert not packages._installed("needed-by-nobody")
packages.change(layout, record | {{"away": False}})
from atftctl.host.errors import HostError
try: packages.rehearse_back(layout, [type(found[0])("x", "1", ".atftctl/operations/op/gone.tar")]); raise SystemExit("gone is gone")
except OSError: pass
import needed_by_nobody, os, sysconfig
os.link(needed_by_nobody.__file__, needed_by_nobody.__file__ + ".2")
packages.keep(layout, "op2", found)
packages.change(layout, record | {{"away": False}})
elsewhere = Path({str(tmp_path)!r}) / "elsewhere"; elsewhere.mkdir()
(Path(sysconfig.get_path("purelib")) / "more.pth").write_text(str(elsewhere))
"""
    # only what apply.packages and observe.packages need is imported: both stand on the standard library
    done = subprocess.run([python, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.check_output([python, "-c", "import needed_by_nobody as n; print(n.value)"], text=True) == "42\n"


def test_an_archive_of_a_package_writes_nowhere_else(tmp_path: Path) -> None:
    import tarfile

    evil = tmp_path / "evil"
    evil.write_text("x")
    (tmp_path / ".atftctl/operations/op").mkdir(parents=True)
    with tarfile.open(tmp_path / ".atftctl/operations/op/p.tar", "w") as tar:
        tar.add(evil, arcname="etc/cron.d/evil")
    layout = Layout(tmp_path, tmp_path / "x")
    with pytest.raises(Exception, match="outside of"):
        apply_packages.put_back(layout, [Package("p", "1", ".atftctl/operations/op/p.tar")])
    with pytest.raises(Exception, match="not where an operation keeps packages"):
        apply_packages.put_back(layout, [Package("p", "1", "../p.tar")])
    assert observed_packages.plain("A.b_C") == "a-b-c"
