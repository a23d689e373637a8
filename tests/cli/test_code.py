"""`rollback --git` and `--full`: real repositories, real reverts, a real package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from atftctl.apply import packages as apply_packages
from atftctl.domain.steps import Package
from atftctl.observe import packages as observed_packages
from atftctl.state.layout import Layout
from tests.support.projects import CONFIG, ROOT, RUNBOOK, Ended, Project
from tests.support.repositories import commit, create_repository, git

SMOKE = """smoke: ["{python}", -c, "import pathlib; assert 'broken' not in pathlib.Path('src/code.py').read_text()"]"""
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def repository(project: Project) -> Project:
    return create_repository(project, smoke=SMOKE, code="one\ntwo\nthree\nfour\nfive\n")


def stands(project: Project) -> tuple[str, str, dict[str, bytes]]:
    """Branch, status, files: what a refusal must not have moved."""
    tree = {
        name: data for name, data in project.tree().items() if not name.startswith((".git/", ".atftctl/", "backups/"))
    }
    return git(project, "rev-parse", "main"), git(project, "status", "--porcelain"), tree


def refused(project: Project, words: tuple[str, ...], *said: str) -> Ended:
    before = stands(project)
    done = project.run("rollback", "--git", *words, "--yes")
    assert done.code == 3 and all(one in done.err for one in said), done
    assert stands(project) == before
    assert not list((project.root / ".atftctl/worktrees").glob("*")) and "prunable" not in git(
        project, "worktree", "list"
    )
    return done


def test_candidates_are_shown_and_nothing_is_guessed(repository: Project) -> None:
    name = commit(repository, "feat: two", code="one\nTWO\nthree\nfour\nfive\n")
    commit(repository, "docs: nothing", other="x\n")
    found = refused(repository, (), "which commits?", name[:12], "feat: two")
    assert "docs" not in found.err
    tree = repository.tree()
    shown = repository.run("rollback", "--git", "--grep", "feat", "--dry-run")
    assert shown.code == 0 and "src/code.py" in shown.out and repository.tree() == tree


def test_newest_first_with_the_trainer_and_undone_by_a_commit_on_top(repository: Project) -> None:
    commit(repository, "feat: two", code="one\nTWO\nthree\nfour\nfive\n")
    commit(repository, "improve: a new file", new="new\n")
    commit(repository, "fix: two again", code="one\nTWO!\nthree\nfour\nfive\n")
    commit(repository, "docs: gone", code="one\nTWO!\nthree\nfour\nfive\n", other="kept\n")
    before = git(repository, "rev-parse", "HEAD")
    repository.run("trainer", "start")
    done = repository.run("rollback", "--git", "--grep", "feat|improve|fix", "--yes", "--json")
    assert done.code == 0, done
    assert repository.read("src/code.py") == b"one\ntwo\nthree\nfour\nfive\n"
    assert not (repository.root / "src/new.py").exists() and repository.read("src/other.py") == b"kept\n"
    subjects = git(repository, "log", "--format=%s", f"{before}..HEAD").splitlines()
    assert subjects == ['Revert "feat: two"', 'Revert "improve: a new file"', 'Revert "fix: two again"']
    assert git(repository, "status", "--porcelain") == "" and done.json["data"]["first_step"]
    undone = repository.run("undo", "--yes")
    assert undone.code == 0, undone
    assert git(repository, "diff", before, "HEAD", "--stat") == "" and git(repository, "status", "--porcelain") == ""
    assert git(repository, "merge-base", "--is-ancestor", before, "HEAD") == "", "history is never rewritten"
    assert repository.run("undo", "--yes").code == 0, "an undo can be undone"
    assert not (repository.root / "src/new.py").exists() and git(repository, "status", "--porcelain") == ""


def test_a_merge_goes_back_to_its_first_parent(repository: Project) -> None:
    git(repository, "switch", "-qc", "side")
    commit(repository, "work", new="side\n")
    git(repository, "switch", "-q", "main")
    commit(repository, "main goes on", code="one\ntwo\nthree\nfour\nFIVE\n")
    git(repository, "merge", "-q", "--no-ff", "side", "-m", "feat: merge side")
    name = git(repository, "rev-parse", "HEAD")
    assert repository.run("rollback", "--git", name, "--yes").code == 0
    assert not (repository.root / "src/new.py").exists() and b"FIVE" in repository.read("src/code.py")


def test_since_takes_all_after_it(repository: Project) -> None:
    first = git(repository, "rev-parse", "HEAD")
    commit(repository, "a", a="a\n")
    commit(repository, "b", b="b\n")
    assert repository.run("rollback", "--git", "--since", first, "--yes").code == 0
    assert git(repository, "diff", first, "HEAD", "--stat") == ""
    refused(repository, ("--since", "nonsense"), "is no commit")


def test_what_stands_in_the_way_is_named_and_nothing_has_moved(repository: Project) -> None:
    name = commit(repository, "feat: two", code="one\nTWO\nthree\nfour\nfive\n")
    later = commit(repository, "later", code="one\nTWO, and more\nthree\nfour\nfive\n")
    refused(repository, (name,), "can't be taken back", "conflict in src/code.py")
    other = git(repository, "commit-tree", "HEAD^{tree}", "-m", "stranger")
    refused(repository, (other,), "is not in the branch")
    repository.write("src/code.py", "changed\n")
    refused(repository, (later,), "not committed", "src/code.py")
    git(repository, "checkout", "-q", "src/code.py")
    git(repository, "checkout", "-q", "--detach")
    refused(repository, (later,), "HEAD is detached")
    git(repository, "switch", "-q", "main")
    (repository.root / ".git/MERGE_HEAD").write_text(later)
    refused(repository, (later,), "in the middle of something else")
    (repository.root / ".git/MERGE_HEAD").unlink()
    hook = repository.root / ".git/hooks/prepare-commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho the hook says no >&2\nexit 1\n")
    hook.chmod(0o755)
    refused(repository, (later,), "the hook says no")
    hook.unlink()
    bad = commit(repository, "feat: mend", code="one\ntwo\nthree\nfour\nfive\n")
    repository.write("src/code.py", "broken\n")
    git(repository, "commit", "-qam", "hm")
    commit(repository, "feat: mend for good", code="one\ntwo\n")
    refused(repository, ("HEAD",), "the smoke check fails")
    assert bad
    gone = commit(repository, "drop", other="x\n")
    commit(repository, "drop it", other=None)
    repository.write("src/other.py", "mine, and git does not know it")
    git(repository, "rm", "-q", "--cached", "src/other.py", check=False)
    refused(repository, ("HEAD",), "does not know stands there")
    assert gone


def test_a_shallow_clone_and_no_repository(repository: Project, tmp_path: Path) -> None:
    commit(repository, "feat: x", new="x\n")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repository.root}", str(clone)], check=True)
    shallow = Project(clone, repository.env)
    done = shallow.run("rollback", "--git", "HEAD", "--yes")
    assert done.code == 3 and "shallow" in done.err
    shutil.rmtree(clone / ".git")
    done = shallow.run("rollback", "--git", "HEAD", "--yes")
    assert done.code == 3 and "not a git repository" in done.err, done


def test_a_push_only_where_verify_passes(repository: Project, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    git(repository, "remote", "add", "origin", str(remote))
    git(repository, "push", "-q", "origin", "main")
    name = commit(repository, "feat: x", new="x\n")
    git(repository, "push", "-q", "origin", "main")
    before = git(repository, "ls-remote", "origin", "main")
    done = repository.run("rollback", "--git", name, "--push", "--yes")
    assert done.code == 1 and "not pushed" in done.out and not (repository.root / "src/new.py").exists(), done
    assert git(repository, "ls-remote", "origin", "main") == before


def test_a_saved_plan_of_git_is_for_this_commit_and_this_trainer(repository: Project) -> None:
    name = commit(repository, "feat: two", code="one\nTWO\nthree\nfour\nfive\n")
    assert repository.run("plan", "save", "../p", "rollback", "--git", name).code == 0
    repository.run("trainer", "start")
    assert "has moved" in repository.run("plan", "apply", "../p", "--yes").err
    repository.run("trainer", "stop")
    assert repository.run("plan", "apply", "../p", "--yes").code == 0
    assert repository.run("undo", "--yes").code == 0
    assert "has moved" in repository.run("plan", "apply", "../p", "--yes").err, "on top of another commit by now"


def test_an_undo_is_refused_where_the_branch_went_on(repository: Project) -> None:
    name = commit(repository, "feat: x", new="x\n")
    assert repository.run("rollback", "--git", name, "--yes").code == 0
    commit(repository, "life goes on", other="y\n")
    done = repository.run("undo", "--yes")
    assert done.code == 3 and "the branch has moved on" in done.err and "git revert" in done.err


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
        "from atftctl.domain.plan import Plan, with_notes\n",
        "from atftctl.domain.plan import MARK, Plan, with_notes\n",
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
    assert done.code == 0 and "all files are the new ones; the branch has moved" in done.out, done
    assert b"MARK" not in own_tree.read(change) and git(own_tree, "status", "--porcelain") == ""
    assert own_tree.run("undo", "--yes").code == 0 and own_tree.read(change) == before
    own_tree.run("backup")
    assert not list((own_tree.root / ".atftctl/tools").glob("*")), "the private copies are gone"


def dies_before_the_branch_moves(project: Project) -> dict[str, str]:
    """An environment in which the tool dies when it is about to call `git update-ref` in earnest."""
    folder = project.root.parent / "strike"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import os, subprocess\nreal = subprocess.run\n"
        "def run(argv, *more, **options):\n"
        "    if 'update-ref' in argv and '-m' in argv: os.kill(os.getpid(), 9)\n"
        "    return real(argv, *more, **options)\n"
        "subprocess.run = run\n"
    )
    return {"PYTHONPATH": f"{folder}:{project.env['PYTHONPATH']}"}


def test_a_branch_that_cannot_move_is_never_called_done(repository: Project) -> None:
    """Seen before the decision; after it (a crash came between) the operation stays open until the cause is gone."""
    name = commit(repository, "feat: x", new="x\n")
    hook = repository.root / ".git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\nif [ $1 = prepared ] && grep -q refs/heads/main; then echo main is protected >&2; exit 1; fi\n"
    )
    hook.chmod(0o755)
    before = stands(repository)
    done = repository.run("rollback", "--git", name, "--yes")
    assert done.code == 4 and "main is protected" in done.err and stands(repository) == before, done
    hook.unlink()
    (repository.root / ".git/index.lock").write_text("")
    assert repository.run("rollback", "--git", name, "--yes").code in (3, 4) and stands(repository)[0] == before[0]
    (repository.root / ".git/index.lock").unlink()

    killed = repository.run("rollback", "--git", name, "--yes", env=dies_before_the_branch_moves(repository))
    assert killed.code == -9 and not (repository.root / "src/new.py").exists(), killed
    git(repository, "switch", "-qc", "rescue")
    status = repository.run("rollback", "--git", "HEAD", "--yes")
    assert status.code == 5 and "rescue is checked out" in status.err, "what is open comes first, not the dirty tree"
    stuck = repository.run("recover")
    assert stuck.code == 5 and "rescue is checked out" in stuck.err and "stays" not in stuck.out, stuck
    assert git(repository, "rev-parse", "main") == name, "a branch that is not checked out is left alone"
    git(repository, "switch", "-q", "main")
    assert repository.run("recover").code == 0 and git(repository, "status", "--porcelain") == ""
    assert git(repository, "log", "-1", "--format=%s") == 'Revert "feat: x"'
    assert repository.run("undo", "--yes").code == 0 and repository.read("src/new.py") == b"x\n"


def test_modes_and_the_index_of_others(repository: Project) -> None:
    repository.write("src/run.sh", "#!/bin/sh\n")
    (repository.root / "src/run.sh").chmod(0o755)
    commit(repository, "a script")
    (repository.root / "src/code.py").chmod(0o755)
    moded = commit(repository, "feat: executable")
    (repository.root / "src/run.sh").unlink()
    dropped = commit(repository, "feat: no script")
    assert repository.run("rollback", "--git", moded, dropped, "--yes").code == 0
    modes = [(repository.root / "src" / name).stat().st_mode & 0o777 for name in ("code.py", "run.sh")]
    assert modes == [0o644, 0o755] and git(repository, "status", "--porcelain") == ""
    repository.write("other.py", "v1\n")
    git(repository, "add", "other.py")
    assert repository.run("undo", "--yes").code == 0, "what others have staged is nothing to it"
    assert (repository.root / "src/code.py").stat().st_mode & 0o777 == 0o755 and not (
        repository.root / "src/run.sh"
    ).exists()
    assert git(repository, "status", "--porcelain") == "A  other.py"


def test_a_sparse_checkout_stays_sparse(repository: Project) -> None:
    repository.write("big/data", "x")
    commit(repository, "big")
    name = commit(repository, "feat: x", new="x\n")
    git(repository, "sparse-checkout", "set", "src", "configs", "runbooks")
    assert not (repository.root / "big").exists()
    assert repository.run("rollback", "--git", name, "--yes").code == 0
    assert git(repository, "status", "--porcelain") == "" and not (repository.root / "big").exists()
    other = commit(repository, "feat: y", code="changed\n")
    git(repository, "update-index", "--assume-unchanged", "src/code.py")
    repository.write("src/code.py", "mine\n")
    assert "not to see" in repository.run("rollback", "--git", other, "--yes").err
    assert repository.read("src/code.py") == b"mine\n"


def test_what_was_committed_comes_whatever_the_check_wrote(repository: Project) -> None:
    repository.replace(RUNBOOK, SMOKE, """smoke: ["{python}", -c, "open('src/code.py', 'a').write('SMOKE')"]""")
    git(repository, "commit", "-qam", "smoke")
    name = commit(repository, "feat: two", code="one\nTWO\nthree\nfour\nfive\n")
    assert repository.run("rollback", "--git", name, "--yes").code == 0
    assert repository.read("src/code.py") == b"one\ntwo\nthree\nfour\nfive\n"


def test_since_over_a_merge_and_reverts_and_the_same_again_after_an_undo(repository: Project) -> None:
    base = git(repository, "rev-parse", "HEAD")
    name = commit(repository, "feat: a", a="a\n")
    git(repository, "revert", "--no-edit", name)
    git(repository, "switch", "-qc", "side")
    commit(repository, "side work", side="side\n")
    git(repository, "switch", "-q", "main")
    git(repository, "merge", "-q", "--no-ff", "side", "-m", "merge side")
    commit(repository, "feat: b", b="b\n")
    assert repository.run("rollback", "--git", "--since", base, "--yes").code == 0
    assert git(repository, "diff", base, "HEAD", "--stat") == ""
    assert repository.run("undo", "--yes").code == 0
    assert repository.run("rollback", "--git", "--grep", "feat: b", "--yes").code == 0, "the undo brought it back"
    assert not (repository.root / "src/b.py").exists() and (repository.root / "src/side.py").exists()


def test_the_trainer_is_started_by_the_runbook_that_stands_then(repository: Project) -> None:
    line = next(line for line in repository.read(RUNBOOK).decode().splitlines() if line.startswith("  command:"))
    repository.replace(RUNBOOK, line, line.replace("train,", "train, "))
    standin = line.split(", ")[1]
    repository.write("src/launch.py", f"import runpy, sys; runpy.run_path({standin!r}, run_name='__main__')")
    repository.replace(RUNBOOK, f" {standin},", " src/launch.py,")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "feat: own launcher")
    assert repository.run("trainer", "start").code == 0
    done = repository.run("rollback", "--git", "HEAD", "--yes")
    assert done.code == 0 and not (repository.root / "src/launch.py").exists(), done


def test_in_full(own_tree: Project) -> None:
    """The improvements' files out, settings of before, and the baseline trains without them: a real probe."""
    pytest.importorskip("torch")
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
