"""Git as something that changes: reverts in a work tree beside the project's, and the branch moved at the end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.git import environment

LIMIT_S = 120.0
NONE, SYMLINK, MODULE = "000000", "120000", "160000"  # modes, as diff-tree has them


class GitError(HostError):
    """Git said no; `words` are its own."""


def git(root: Path, *words: str, limit_s: float = LIMIT_S, said: str = "") -> str:
    """Its standard output as text. Objects and references are durable when it returns. `said`: to its standard input.
    Raises GitError."""
    return os.fsdecode(_bytes(root, *words, limit_s=limit_s, said=said))


def _bytes(root: Path, *words: str, limit_s: float = LIMIT_S, said: str = "") -> bytes:
    argv = ["git", "-C", str(root), "-c", "core.fsmonitor=false", "-c", "core.fsync=all", *words]
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=limit_s, check=False, env=environment(), input=os.fsencode(said)
        )
    except FileNotFoundError:
        raise GitError("git is not installed here") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {words[0]} was not done within {limit_s:g} s") from None
    if done.returncode:
        lines = os.fsdecode(done.stderr or done.stdout).strip().splitlines()
        raise GitError(f"git {words[0]}: {'; '.join(line.strip() for line in lines[:6]) or f'exit {done.returncode}'}")
    return done.stdout


def _diff_tree(root: Path, old: str, new: str) -> list[tuple[list[str], str]]:
    """([mode before, mode after, object before, object after], path from the repository's top)."""
    words = ("diff-tree", "-r", "-z", "--no-renames", "--no-relative", "--full-index", old, new)
    raw = git(root, *words).split("\0")
    return [(head.lstrip(":").split()[:4], path) for head, path in zip(raw[::2], raw[1::2], strict=False)]


def branch(root: Path) -> str:
    """The branch that is checked out; "" where HEAD is detached. Raises GitError."""
    try:
        return git(root, "symbolic-ref", "-q", "HEAD").strip()
    except GitError:
        git(root, "rev-parse", "--git-dir")
        return ""


def commit_of(root: Path, word: str) -> str:
    """Raises GitError for what is no commit."""
    return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{word}^{{commit}}").strip()


def is_ancestor(root: Path, old: str, new: str) -> bool:
    try:
        git(root, "merge-base", "--is-ancestor", old, new)
    except GitError:
        return False
    return True


def under_way(root: Path) -> str:
    """What else git is in the middle of: a merge, a rebase …; "" for nothing."""
    folder = Path(git(root, "rev-parse", "--absolute-git-dir").strip())
    names = (
        "MERGE_HEAD",
        "CHERRY_PICK_HEAD",
        "REVERT_HEAD",
        "BISECT_LOG",
        "rebase-merge",
        "rebase-apply",
        "sequencer",
    )
    return next((name for name in names if (folder / name).exists()), "")


def shallow(root: Path) -> bool:
    return git(root, "rev-parse", "--is-shallow-repository").strip() == "true"


def dirty(root: Path) -> list[str]:
    """Tracked files that differ from HEAD, in the whole repository."""
    words = git(root, "status", "--porcelain", "-z", "--untracked-files=no").split("\0")
    return [word[3:] for word in words if word]


def prefix(root: Path) -> str:
    """Where the project lies in the repository: "" at its top, else "folder/"."""
    return git(root, "rev-parse", "--show-prefix").strip()


def add(root: Path, folder: Path, commit: str) -> None:
    git(root, "worktree", "add", "--detach", "--quiet", str(folder), commit)


def drop(root: Path, folder: Path) -> None:
    """Gone, and forgotten by git. Raises GitError."""
    git(root, "worktree", "remove", "--force", "--force", str(folder))


def forget(root: Path) -> None:
    """Work trees whose folders are gone."""
    git(root, "worktree", "prune")


def revert(folder: Path, commit: str, *, merge: bool) -> None:
    """One commit more, that takes this one back; hooks run as the repository has them. Raises GitError, and leaves no
    revert half done."""
    words = ["revert", "--no-edit", *(("-m", "1") if merge else ()), commit]
    try:
        git(folder, *identity(folder), *words)
    except GitError:
        conflicts = [line for line in git(folder, "diff", "--name-only", "--diff-filter=U").splitlines() if line]
        if conflicts:
            raise GitError(f"conflict in {', '.join(conflicts)}") from None
        raise


def identity(folder: Path) -> tuple[str, ...]:
    """Who commits, where nobody has told git."""
    try:
        git(folder, "config", "user.email")
    except GitError:
        return ("-c", "user.name=atftctl", "-c", "user.email=atftctl@localhost")
    return ()


def changed_files(root: Path, old: str, new: str, *, relative: str) -> list[tuple[str, str, str]]:
    """(path from the project's folder, mode in `old`, mode in `new`); "000000" where there is none."""
    diff = _diff_tree(root, old, new)
    return [(os.path.relpath(path, relative or "."), was, now) for (was, now, *_), path in diff]


def files_of(root: Path, commit: str) -> list[str]:
    """What a commit changes against its first parent, from the repository's top."""
    words = ("diff-tree", "-r", "-z", "--no-renames", "--no-relative", "--no-commit-id", "--root", "--name-only")
    parents = git(root, "rev-list", "--parents", "-n", "1", commit).split()[1:2]
    return [name for name in git(root, *words, *parents, commit).split("\0") if name]


def log(root: Path, *words: str) -> list[tuple[str, tuple[str, ...], str, str]]:
    """(commit, parents, subject, body), newest first."""
    lines = git(root, "log", "-z", "--format=%H%x1f%P%x1f%s%x1f%b", *words, "--").split("\0")
    fields = [line.split("\x1f") for line in lines if line]
    return [(one[0], tuple(one[1].split()), one[2], one[3]) for one in fields]


def file_at(root: Path, commit: str, path: str) -> tuple[bytes, int] | None:
    """(bytes, mode) of a file in a commit; None where it has none. `path` from the project's folder."""
    entry = git(root, "ls-tree", commit, "--", path).split()
    if not entry or entry[1] != "blob" or entry[0] == SYMLINK:
        return None
    return _bytes(root, "cat-file", "--filters", f"{commit}:./{path}"), int(entry[0], 8) & 0o777


def commit_tree(root: Path, tree_of: str, parent: str, message: str) -> str:
    """A commit on top of `parent` that holds what `tree_of` held."""
    return git(root, *identity(root), "commit-tree", f"{tree_of}^{{tree}}", "-p", parent, "-m", message).strip()


def may_move(root: Path, name: str, old: str, new: str) -> None:
    """Would the branch move? Hooks and locks are asked, nothing is changed. Raises GitError."""
    if (Path(git(root, "rev-parse", "--absolute-git-dir").strip()) / "index.lock").exists():
        raise GitError("git's index is locked (index.lock): another git runs here, or died")
    words = f"start\nupdate {name} {new} {old}\nprepare\nabort\n"
    git(root, "update-ref", "--stdin", said=words)


def move_branch(root: Path, name: str, old: str, new: str, message: str) -> None:
    """From `old` and from nothing else; of the index the paths between both follow; files are not touched. May be done
    again. Raises GitError where another branch is checked out, or this one has moved on."""
    if (found := branch(root)) != name:
        raise GitError(f"{found or 'no branch'} is checked out, not {name}")
    stands = git(root, "rev-parse", "--verify", name).strip()
    if stands != new:
        git(root, "update-ref", "-m", message, name, new, old)
    lines = [_index_line(mode, blob, path) for (_, mode, _, blob), path in _diff_tree(root, old, new)]
    git(root, "update-index", "-z", "--index-info", said="".join(lines))
    try:
        git(root, "update-index", "-q", "--refresh")
    except GitError:
        return  # it says so where a file differs from the index; that is for the user to see


def _index_line(mode: str, blob: str, path: str) -> str:
    """What `update-index --index-info` takes: the newer side's mode and object; mode 0 takes a path out."""
    return f"0 {'0' * len(blob)}\t{path}\0" if mode == NONE else f"{mode} {blob}\t{path}\0"


def hidden(root: Path, paths: Sequence[str]) -> list[str]:
    """Those whose changes git was told not to see: skip-worktree, assume-unchanged."""
    found = git(root, "ls-files", "-v", "-z", "--", *paths).split("\0")
    return [line[2:] for line in found if line and (line[0] == "S" or line[0].islower())]


def push(root: Path, remote: str, name: str) -> str:
    """Never forced. Git's own words. Raises GitError."""
    git(root, "push", "--porcelain", remote, f"{name}:{name}", limit_s=300)
    return f"pushed {name} to {remote}"
