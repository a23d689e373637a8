"""Git as it is used: odd names, odd settings, attributes, and configs that the tool itself has changed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.projects import CONFIG, REVERT, RUNBOOK, Project
from tests.support.repositories import commit, create_repository, git
from tests.support.today import some

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def repository(project: Project) -> Project:
    return create_repository(project)


def check_back_and_forth(project: Project, *command: str) -> None:
    """Taken back: as a fresh checkout of the new commit would be. Undone: as it was."""
    before = {
        name: data for name, data in project.tree().items() if not name.startswith((".git/", ".atftctl/", "backups/"))
    }
    done = project.run(*(command or REVERT))
    assert done.code == 0, done
    assert git(project, "status", "--porcelain") == ""
    fresh = project.root.parent / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    git(project, "clone", "-q", str(project.root), str(fresh))
    for name in git(project, "ls-files", "-z").split("\0"):
        if name and not (project.root / name).is_symlink():
            assert (project.root / name).read_bytes() == (fresh / name).read_bytes(), name
    undone = project.run("undo", "--yes", "--no-restart")
    assert undone.code == 0, undone
    assert git(project, "status", "--porcelain") == ""
    after = {
        name: data for name, data in project.tree().items() if not name.startswith((".git/", ".atftctl/", "backups/"))
    }
    assert after == before


NAMES = (":odd.py", ":(top)x", ":!x", "*.py", "[a].py", "a b\tc", "-n", "ä ö.py", 'quo"te', "new\nline", "back\\slash")


def contents(project: Project) -> set[bytes]:
    return {project.read(f"{folder}{name}") for name in NAMES for folder in ("", "src/")}


def test_a_file_is_a_file_whatever_its_name(repository: Project) -> None:
    for text, message in (("old\n", "odd names"), ("new\n", "feat: change them")):
        for name in NAMES:
            repository.write(f"src/{name}", text)
            repository.write(name, text)
        commit(repository, message)
    done = repository.run(*REVERT)
    assert done.code == 0, done
    assert contents(repository) == {b"old\n"}
    assert repository.run("undo", "--yes", "--no-restart").code == 0
    assert contents(repository) == {b"new\n"}


def test_attributes_of_the_same_commit(repository: Project) -> None:
    """The bytes are those of a checkout of the new commit, also of files that the commit itself leaves alone."""
    repository.write("src/code.py", "one\ntwo\n")
    repository.write("src/other.txt", "x\ny\n")
    commit(repository, "before")
    repository.write(".gitattributes", "*.py text eol=crlf\n*.txt text eol=crlf\n")
    git(repository, "add", ".gitattributes")
    repository.write("src/code.py", b"one\r\ntwo\r\nthree\r\n")
    commit(repository, "feat: line ends")
    (repository.root / "src/other.txt").unlink()
    git(repository, "checkout", "--", "src/other.txt")
    assert repository.read("src/other.txt") == b"x\r\ny\r\n"
    check_back_and_forth(repository)


def test_a_commit_that_takes_attributes_away(repository: Project) -> None:
    repository.write(".gitattributes", "*.py text eol=crlf\n")
    repository.write("src/code.py", b"one\r\n")
    commit(repository, "before")
    (repository.root / ".gitattributes").unlink()
    (repository.root / "src/code.py").unlink()
    git(repository, "rm", "-q", "--cached", ".gitattributes")
    git(repository, "checkout", "--", "src/code.py")
    repository.write("src/code.py", b"one\ntwo\n")
    commit(repository, "feat: plain")
    check_back_and_forth(repository)


@pytest.mark.parametrize(
    "settings",
    some([("log.showSignature=true",), ("diff.noprefix=true", "diff.external=/bin/false"), ("status.relativePaths=false",
     "status.branch=true", "status.showStash=true"), ("color.ui=always", "core.pager=false"), ("diff.renames=copies",),
     ("core.quotePath=false", "diff.ignoreSubmodules=all"), ("log.decorate=full", "format.pretty=oneline"),
     ("i18n.logOutputEncoding=latin1",)], 2),
    ids=lambda settings: settings[0].partition("=")[0],
)  # fmt: skip
def test_no_setting_of_the_user_changes_what_is_read(repository: Project, settings: tuple[str, ...]) -> None:
    for setting in settings:
        git(repository, "config", *setting.split("=", 1))
    repository.write("src/code.py", "two\n")
    name = commit(repository, "feat: zwei ü")
    listed = repository.run("rollback", "--git")
    assert listed.code == 3 and name[:12] in listed.err and "feat: zwei ü" in listed.err, listed
    check_back_and_forth(repository)


def test_a_repository_of_sha256(project: Project) -> None:
    try:
        repository = create_repository(project, "--object-format=sha256")
    except AssertionError:
        pytest.skip("this git knows no sha256")
    repository.write("src/code.py", "two\n")
    name = commit(repository, "feat: two")
    assert len(name) == 64
    check_back_and_forth(repository)
    git(repository, "revert", "--no-edit", name)
    listed = repository.run("rollback", "--git").err
    assert "feat: two (1" not in listed, "it is taken back already"


def test_a_commit_of_thousands_of_long_names(repository: Project) -> None:
    """Longer than any list of arguments may be."""
    for number in range(500):
        repository.write(f"src/{'long' * 20}{'/' + 'name' * 40}{'/' + 'more' * 40}/{number:06d}{'x' * 150}.py", "new\n")
    commit(repository, "feat: many")
    limit = 1 << 20  # of the stack: a list of arguments may take a quarter of it
    done = subprocess.run(
        repository.argv(*REVERT), cwd=repository.root, env=repository.env, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert git(repository, "status", "--porcelain") == "" and not (repository.root / f"src/{'long' * 20}").exists()


@pytest.mark.parametrize("before", ["file", "folder"])
def test_a_file_became_a_folder_or_the_other_way_round(repository: Project, before: str) -> None:
    thing = repository.root / "src/thing"

    def as_file() -> None:
        repository.write("src/thing", "a file\n")

    def as_folder() -> None:
        repository.write("src/thing/a.py", "a\n")
        repository.write("src/thing/deep/b.py", "b\n")

    (as_file if before == "file" else as_folder)()
    commit(repository, "before")
    shutil.rmtree(thing) if thing.is_dir() else thing.unlink()
    (as_folder if before == "file" else as_file)()
    commit(repository, "feat: other kind")
    check_back_and_forth(repository)


def test_a_folder_with_a_file_that_git_does_not_know_is_not_lost(repository: Project) -> None:
    repository.write("src/thing", "a file\n")
    commit(repository, "before")
    (repository.root / "src/thing").unlink()
    repository.write("src/thing/a.py", "a\n")
    commit(repository, "feat: a folder")
    repository.write("src/thing/mine.txt", "mine\n")
    refused = repository.run(*REVERT)
    assert refused.code == 3 and "src/thing" in refused.err, refused
    assert repository.read("src/thing/mine.txt") == b"mine\n" and repository.read("src/thing/a.py") == b"a\n"


def test_a_symlink_in_a_commit(repository: Project) -> None:
    (repository.root / "src/link").symlink_to("code.py")
    commit(repository, "a link")
    (repository.root / "src/link").unlink()
    (repository.root / "src/link").symlink_to("../README")
    (repository.root / "src/new-link").symlink_to("code.py")
    commit(repository, "feat: links")
    assert repository.run(*REVERT).code == 0
    assert (
        os.readlink(repository.root / "src/link") == "code.py" and not (repository.root / "src/new-link").is_symlink()
    )
    assert git(repository, "status", "--porcelain") == ""
    assert repository.run("undo", "--yes", "--no-restart").code == 0
    assert os.readlink(repository.root / "src/link") == "../README" and git(repository, "status", "--porcelain") == ""


def test_the_name_of_whoever_commits_is_filled_in(repository: Project, tmp_path: Path) -> None:
    repository.write("src/code.py", "two\n")
    commit(repository, "feat: two")
    git(repository, "config", "user.email", "me@here")
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    done = repository.run(*REVERT, env=home)
    assert done.code == 0, done
    assert git(repository, "log", "-1", "--format=%an <%ae>") == "atftctl <me@here>"


def test_a_commit_that_can_not_be_signed_is_told_as_that(repository: Project) -> None:
    repository.write("src/code.py", "two\n")
    commit(repository, "feat: two")
    git(repository, "config", "commit.gpgsign", "true")
    git(repository, "config", "gpg.program", "/bin/false")
    refused = repository.run(*REVERT)
    assert (
        refused.code == 3 and "signed" in refused.err and "gpgsign" in refused.err and "--since" not in refused.err
    ), refused


def test_commits_are_taken_back_after_a_rollback_of_settings(repository: Project) -> None:
    """Every rollback edits a tracked config: its settings are carried over key by key."""
    repository.replace(CONFIG, "  use_ema: true", "  use_ema: true\n  brought_by_the_commit: 3")
    repository.write("src/code.py", "two\n")
    commit(repository, "feat: an improvement")
    assert repository.run("rollback", "--symptom", "oom", "--yes").code == 0
    assert repository.run("config", "set", "brought_by_the_commit=5", "--yes").code in (0, 2, 3)
    plan = repository.run("rollback", "--git", "HEAD", "--dry-run")
    assert plan.code == 0 and "refused" not in plan.out, plan
    done = repository.run(*REVERT)
    assert done.code == 0, done
    text = repository.read(CONFIG).decode()
    assert "  use_ema: false" in text and "  online_normalization: false" in text, "the rollback's settings stay"
    assert "brought_by_the_commit" not in text, "what the commit brought goes with it"
    assert "use_ema" in done.out + done.err and repository.read("src/code.py") == b"one\n"
    assert git(repository, "status", "--porcelain").strip() == f"M {CONFIG}", (
        "as dirty as before, by these settings alone"
    )
    assert "use_ema: true" in git(repository, "show", f"HEAD:{CONFIG}"), "and not committed"
    assert repository.run("undo", "--yes", "--no-restart").code == 0
    assert repository.read("src/code.py") == b"two\n" and b"brought_by_the_commit" in repository.read(CONFIG)


def test_only_files_of_the_commits_must_be_clean(repository: Project) -> None:
    repository.write("src/other.py", "x\n")
    commit(repository, "other")
    repository.write("src/code.py", "two\n")
    commit(repository, "feat: two")
    repository.write("src/other.py", "dirty\n")
    repository.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    assert repository.run(*REVERT).code == 0
    assert repository.read("src/other.py") == b"dirty\n" and b"gat_temperature: 0.7" in repository.read(CONFIG)
    assert repository.run("undo", "--yes", "--no-restart").code == 0
    repository.write("src/code.py", "two, and more\n")
    refused = repository.run(*REVERT)
    assert refused.code == 3 and "src/code.py" in refused.err and "stash" not in refused.err, refused
    plan = repository.run("rollback", "--git", "HEAD", "--dry-run")
    assert plan.code == 0 and "src/code.py" in plan.out, plan
    listed = repository.run("rollback", "--git")
    assert listed.code == 3 and "no commit is named" in listed.err
    assert repository.read("src/code.py") == b"two, and more\n"


def test_a_config_that_somebody_else_changed_is_not_carried_over(repository: Project) -> None:
    repository.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.9")
    commit(repository, "feat: warmer")
    repository.replace(CONFIG, "use_ema: true", "use_ema: false")
    refused = repository.run(*REVERT)
    assert refused.code == 3 and CONFIG in refused.err, refused
    git(repository, "checkout", "--", CONFIG)
    assert repository.run("rollback", "--symptom", "oom", "--yes").code == 0
    repository.write(CONFIG, repository.read(CONFIG) + b"# by hand\n")
    refused = repository.run(*REVERT)
    assert refused.code == 3 and CONFIG in refused.err, refused


def test_an_edit_of_a_file_that_git_filters_is_not_overwritten(repository: Project) -> None:
    """A filter that only git may run hid it: the edit was taken back with the commit."""
    git(repository, "config", "filter.same.clean", "cat")
    git(repository, "config", "filter.same.smudge", "cat")
    repository.write(".gitattributes", "*.yaml filter=same\n")
    repository.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.9")
    commit(repository, "feat: warmer")
    edited = repository.read(CONFIG) + b"# by hand\n"
    repository.write(CONFIG, edited)
    refused = repository.run(*REVERT)
    assert refused.code == 3 and CONFIG in refused.err and repository.read(CONFIG) == edited, refused
    git(repository, "checkout", "--", CONFIG)
    assert repository.run("config", "set", "use_ema=false", "--yes").code == 0
    done = repository.run(*REVERT)
    assert done.code == 0 and b"use_ema: false" in repository.read(CONFIG), done


def test_candidates_show_their_files_and_whether_they_touch_the_service(repository: Project) -> None:
    repository.write("tests/test_x.py", "x\n")
    tests_only = commit(repository, "feat: a test")
    repository.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.9")
    service = commit(repository, "feat: warmer")
    listed = repository.run("rollback", "--git").err
    lines = {name: next(line for line in listed.splitlines() if name[:12] in line) for name in (tests_only, service)}
    assert "tests/test_x.py" in lines[tests_only] and "service" not in lines[tests_only]
    assert CONFIG in lines[service] and "service" in lines[service]
    hint = next(line for line in listed.splitlines() if "next:" in line)
    assert service[:12] in hint and tests_only[:12] not in hint


@pytest.mark.parametrize("how", some(["detached", "merge", "no branch"], 1))
def test_a_dry_run_always_shows_the_plan(repository: Project, how: str) -> None:
    repository.write("src/code.py", "two\n")
    commit(repository, "feat: two")
    if how == "merge":
        (repository.root / ".git/MERGE_HEAD").write_text(git(repository, "rev-parse", "HEAD~1") + "\n")
    else:
        git(repository, "checkout", "-q", "--detach")
    plan = repository.run("rollback", "--git", "HEAD", "--dry-run")
    assert plan.code == 0 and "feat: two" in plan.out and "refused" in plan.out, plan
    assert repository.run("rollback", "--git").code == 3
    assert repository.run(*REVERT).code == 3


@pytest.mark.parametrize("chosen", some([(), (CONFIG,), ("--only", "configs")], 1), ids=str)
def test_a_config_comes_back_from_a_commit(repository: Project, chosen: tuple[str, ...]) -> None:
    before = repository.read(CONFIG)
    for broken in (b"improvements: [\n", None):
        if broken is None:
            (repository.root / CONFIG).unlink()
        else:
            repository.write(CONFIG, broken)
        refused = repository.run("rollback", "--immediate", "--yes")
        if not list((repository.root / "backups").glob("*/configs")):
            assert refused.code == 3 and f"atftctl restore git:HEAD {CONFIG}" in refused.err, refused
            assert f"restore git:HEAD {CONFIG}" in repository.run("status").out
        assert refused.code == 3 and "atftctl restore" in refused.err, refused
        assert repository.run("restore", "git:HEAD", *chosen, "--dry-run").code == 0
        done = repository.run("restore", "git:HEAD", *chosen, "--yes")
        assert done.code == 0 and repository.read(CONFIG) == before, done
        assert repository.run("undo", "--yes").code == 0
        assert (repository.read(CONFIG) == broken) if broken else not (repository.root / CONFIG).exists()
        assert repository.run("restore", "git:HEAD", "--yes").code == 0
    assert repository.run("restore", "git:nonsense", "--yes").code == 3
    assert repository.run("restore", "git:HEAD", "not/there", "--yes").code == 3
    assert repository.run("restore", "git:HEAD", ".git/config", "--yes").code == 3


def test_a_project_in_a_folder_of_its_repository(project: Project) -> None:
    outer = project.root.parent / "outer"
    outer.mkdir()
    inner = Project(outer / "inner", project.env)
    shutil.copytree(project.root, inner.root)
    line = next(line for line in inner.read(RUNBOOK).decode().splitlines() if line.startswith("  smoke:"))
    inner.replace(RUNBOOK, line, "  smoke: []")
    inner.write(".gitignore", ".atftctl/\nbackups/\nlogs/\nmodels/\n")
    (outer / "README").write_text("x\n")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=outer, check=True)
    inner.write(":x", "one\n")
    commit(inner, "start")
    git(outer, "add", "-A")
    git(outer, "commit", "-qm", "readme", "--allow-empty")
    inner.write(":x", "two\n")
    commit(inner, "feat: two")
    (outer / "README").write_text("dirty\n")
    done = inner.run(*REVERT)
    assert done.code == 0 and inner.read(":x") == b"one\n", done
    assert inner.run("undo", "--yes", "--no-restart").code == 0 and inner.read(":x") == b"two\n"
