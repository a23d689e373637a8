"""Git, as facts beside a snapshot and as the home of a scratch copy. A machine without git loses these, and
nothing else."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

LIMIT_S = 20.0
ELSEWHERE = (  # git rev-parse --local-env-vars
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS",
    "GIT_DIR", "GIT_EXTERNAL_DIFF", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)  # fmt: skip


def head(root: Path) -> tuple[str, bool]:
    """(commit, dirty) of the work tree; ("", False) where there is no git, no repository or no commit yet.

    Two calls of the git command: importing GitPython costs 110 ms that an emergency does not have.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return "", False
    return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))


def diff(root: Path, *, limit: int, without: Sequence[str] = ()) -> bytes | None:
    """What the work tree changes on HEAD, as a patch that `git apply` takes; None where git can't tell, or where it is
    longer than `limit` bytes. Untracked files are not in it. `without`: files and patterns that are left out."""
    argv = _argv(
        root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color",
        "--src-prefix=a/", "--dst-prefix=b/", "-U3", "--submodule=short", "--no-relative",
        "--", ".", *(f":(exclude,glob,icase){one}" for one in without),
    )  # fmt: skip
    try:
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment())
    except OSError:
        return None
    late = threading.Timer(LIMIT_S, child.kill)
    late.start()
    try:
        with child:
            assert child.stdout is not None
            patch = child.stdout.read(limit + 1)
            if len(patch) > limit:
                child.kill()
    finally:
        late.cancel()
    return patch if child.returncode == 0 else None


def log(root: Path, old: str, new: str, most: int = 50) -> list[str] | None:
    """Commits that are in `new` and not in `old`, newest first, a line each; None where git knows one of them not."""
    found = _git_bytes(root, "log", "--oneline", "--no-decorate", f"-{most}", f"{old}..{new}", "--")
    return None if found is None else os.fsdecode(found).splitlines()


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
    return os.fsdecode(_git_bytes(root, *words) or b"").strip("\n")


def _git_bytes(root: Path, *words: str) -> bytes | None:
    """None where git is not there, is too slow, or says no. Writes nothing, the index included."""
    try:
        done = subprocess.run(_argv(root, *words), capture_output=True, timeout=LIMIT_S, check=False, env=environment())
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _argv(root: Path, *words: str) -> list[str]:
    return ["git", "-C", str(root), "-c", "core.fsmonitor=false", *words]


def environment() -> dict[str, str]:
    """The project's repository and no other, whatever a hook or a shell has said of another."""
    ours = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return {**ours, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
