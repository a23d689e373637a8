"""`rollback --git`: real repositories and real reverts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.projects import RUNBOOK, Ended, Project
from tests.support.repositories import SMOKE, commit, git

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def stands(project: Project) -> tuple[str, str, dict[str, bytes]]:
    """Branch, status, files: what a refusal must not have moved."""
    tree = {
        name: data for name, data in project.tree().items() if not name.startswith((".git/", ".atftctl/", "backups/"))
    }
    return git(project, "rev-parse", "main"), git(project, "status", "--porcelain"), tree


def refused(project: Project, commits: tuple[str, ...], *said: str) -> Ended:
    before = stands(project)
    done = project.run("rollback", "--git", *commits, "--yes")
    assert done.code == 3 and all(one in done.err for one in said), done
    assert stands(project) == before
    assert not list((project.root / ".atftctl/worktrees").glob("*")) and "prunable" not in git(
        project, "worktree", "list"
    )
    return done


def test_candidates_are_shown_and_nothing_is_guessed(repository: Project) -> None:
    name = commit(repository, "feat: two", code="one\nTWO\nthree\nfour\nfive\n")
    commit(repository, "docs: nothing", other="x\n")
    found = refused(repository, (), "no commit is named", name[:12], "feat: two")
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
    refused(repository, ("--since", "nonsense"), "is not a commit")


def test_what_stands_in_the_way_is_named_and_nothing_has_moved(repository: Project) -> None:
    name = commit(repository, "feat: two", code="one\nTWO\nthree\nfour\nfive\n")
    later = commit(repository, "later", code="one\nTWO, and more\nthree\nfour\nfive\n")
    refused(repository, (name,), "can't be reverted", "conflict in src/code.py")
    other = git(repository, "commit-tree", "HEAD^{tree}", "-m", "stranger")
    refused(repository, (other,), "is not in the branch")
    repository.write("src/code.py", "changed\n")
    refused(repository, (later,), "uncommitted changes", "src/code.py")
    git(repository, "checkout", "-q", "src/code.py")
    git(repository, "checkout", "-q", "--detach")
    refused(repository, (later,), "HEAD is detached")
    git(repository, "switch", "-q", "main")
    (repository.root / ".git/MERGE_HEAD").write_text(later)
    refused(repository, (later,), "has not finished another operation")
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
    refused(repository, ("HEAD",), "an untracked file is in its place")
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
    assert "out of date" in repository.run("plan", "apply", "../p", "--yes").err
    repository.run("trainer", "stop")
    assert repository.run("plan", "apply", "../p", "--yes").code == 0
    assert repository.run("undo", "--yes").code == 0
    assert "out of date" in repository.run("plan", "apply", "../p", "--yes").err, "on top of another commit by now"


def test_an_undo_is_refused_where_the_branch_went_on(repository: Project) -> None:
    name = commit(repository, "feat: x", new="x\n")
    assert repository.run("rollback", "--git", name, "--yes").code == 0
    commit(repository, "life goes on", other="y\n")
    done = repository.run("undo", "--yes")
    assert done.code == 3 and "the branch has moved since" in done.err and "git revert" in done.err


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
    assert "ignore changes" in repository.run("rollback", "--git", other, "--yes").err
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
