"""Changes of a git repository: reverts in a work tree beside the project's, and the move of its branch at the end.

The repository's own config counts here: its hooks and filters run, with the rights of the project's owner.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from atftctl.host.files.folders import remove_tree
from atftctl.host.git import facts as git
from atftctl.host.git.command import GitError, change, read, text
from atftctl.protocol.messages import joined, tr

LOCKS = ("index.lock", "HEAD.lock", "packed-refs.lock")
PUSH_LIMIT_S = 300.0
COMMITTER = (("user.name", "atftctl"), ("user.email", "atftctl@localhost"))


class CannotSignError(GitError):
    """The repository wants its commits signed, and signing failed."""


def file_as_checked_out(root: Path, commit: str, path: str, *, filters: bool = True) -> bytes:
    """The bytes that `git checkout COMMIT -- PATH` would write. Without `filters` (in a dry run) the bytes that the
    repository holds: no program that its config names is run. Raises GitError."""
    if not filters:
        return read(root, "cat-file", "blob", f"{commit}:./{path}")
    return change(root, "cat-file", "--filters", f"{commit}:./{path}")


def dirty(root: Path) -> list[str]:
    """As `facts.dirty`, also with the files that git compares by running a filter. Raises GitError."""
    return [name for name in os.fsdecode(change(root, *git.DIRTY)).split("\0") if name]


def add(root: Path, folder: Path, commit: str) -> None:
    """Make a work tree in this folder, with the commit checked out and no branch. Raises GitError."""
    change(root, "worktree", "add", "--detach", "--quiet", str(folder), commit)


def drop(root: Path, folder: Path) -> None:
    """Remove a work tree, with its folder. Raises GitError."""
    change(root, "worktree", "remove", "--force", "--force", str(folder))


def prune(root: Path) -> None:
    """Make git forget the work trees whose folders are gone. Raises GitError."""
    change(root, "worktree", "prune")


def revert(folder: Path, commit: str, *, merge: bool) -> None:
    """Add a commit that reverts this one; hooks run. `merge`: it is a merge commit. Raises GitError, and leaves no
    unfinished revert."""
    mainline = ("-m", "1") if merge else ()
    try:
        change(folder, *_identity(folder), "revert", "--no-edit", *mainline, commit)
    except GitError as error:
        unmerged = os.fsdecode(read(folder, "diff", "--name-only", "-z", "--diff-filter=U")).split("\0")
        if conflicts := [name for name in unmerged if name]:
            raise GitError(tr("conflict in {files}", files=joined(", ", conflicts))) from None
        if "gpg" in str(error) or "sign" in str(error):
            raise CannotSignError(error.message) from None
        raise


def reset_files(folder: Path, commit: str, names: Iterable[str]) -> None:
    """Check these files of one of our own work trees out again, with the attributes of this commit; whatever was
    written there is lost. Raises GitError, OSError."""
    for name in names:
        remove_tree(folder / name)
    change(folder, "reset", "--hard", "--quiet", commit)


def commit_tree(root: Path, tree_of: str, parent: str, message: str) -> str:
    """Make a commit on top of `parent` with the content of the commit `tree_of`; return its id. Raises GitError."""
    arguments = ("commit-tree", f"{tree_of}^{{tree}}", "-p", parent, "-m", message)
    return os.fsdecode(change(root, *_identity(root), *arguments)).strip()


def locks_of(root: Path, name: str) -> list[Path]:
    """The lock files that git makes for a move of this branch, whether they exist or not. Raises GitError."""
    folder = git.git_folder(root)
    common = Path(text(root, "rev-parse", "--git-common-dir"))
    common = common if common.is_absolute() else (root / common).resolve()
    return [*(folder / lock for lock in LOCKS[:2]), common / LOCKS[2], common / f"{name}.lock"]


def stale_locks(locks: Sequence[Path], since: float) -> list[Path]:
    """Those of these lock files that exist and were made after `since` (seconds since 1970)."""
    stale = []
    for lock in locks:
        try:
            facts = lock.lstat()
        except OSError:
            continue
        if facts.st_mtime >= since:
            stale.append(lock)
    return stale


def running_git_processes(root: Path) -> list[int]:
    """The pids of git processes that work in this repository. Raises GitError."""
    from atftctl.host.process import table as procs

    folders = {str(root.resolve()), text(root, "rev-parse", "--show-toplevel"), str(git.git_folder(root))}
    return procs.named("git", folders)


def check_branch_can_move(root: Path, name: str, old: str, new: str) -> None:
    """Ask locks and hooks whether the branch could move from `old` to `new`; changes nothing. Raises GitError where it
    could not."""
    if locked := [lock.name for lock in locks_of(root, name) if lock.exists()]:
        raise GitError(
            tr(
                "the git repository is locked ({locks}): another git process is running, or one crashed",
                locks=joined(", ", locked),
            )
        )
    change(root, "update-ref", "--stdin", stdin=os.fsencode(f"start\nupdate {name} {new} {old}\nprepare\nabort\n"))


def move_branch(root: Path, name: str, old: str, new: str, message: str, written: Iterable[str] = ()) -> None:
    """Move the branch that is checked out from `old` to `new`, and the index with it; files are not touched.

    The index changes for the paths that differ between both commits, and for those of `written` (relative to the
    project), whose bytes differ although their content is the same. Calling this again is no error. Raises GitError
    where another branch is checked out, or where the branch is at another commit.
    """
    if (current := git.branch(root)) != name:
        if not current:
            raise GitError(tr("no branch is checked out; {name} was expected", name=name))
        raise GitError(tr("{current} is checked out; {name} was expected", current=current, name=name))
    if text(root, "rev-parse", "--verify", name) != new:
        change(root, "update-ref", "-m", message, name, new, old)
    differing = git.changes(root, old, new)
    top = git.prefix(root)
    lines = [_index_line(file) for file in differing]
    lines += _same_content(root, new, {f"{top}{path}" for path in written} - {file.path for file in differing})
    change(root, "update-index", "-z", "--index-info", stdin=os.fsencode("".join(sorted(lines))))
    try:
        change(root, "update-index", "-q", "--refresh")
    except GitError:
        return  # git fails where a file differs from the index; the user sees that in `git status`


def push(root: Path, remote: str, name: str) -> str:
    """Push the branch, never forced; return a message that says so. Raises GitError."""
    change(root, "push", "--porcelain", remote, f"{name}:{name}", limit_s=PUSH_LIMIT_S)
    return tr("pushed {branch} to {remote}", branch=name, remote=remote)


def create_repository(root: Path, message: str) -> str:
    """Make a repository with every file in `root` as its first commit; return the commit's id."""
    import git as gitpython

    repository = gitpython.Repo.init(root, initial_branch="main")
    with repository.config_writer() as config:
        config.set_value("user", "name", "atftctl")
        config.set_value("user", "email", "atftctl@localhost")
        config.set_value("commit", "gpgsign", "false")
    repository.git.add("--all")
    repository.git.commit("--quiet", "--no-verify", "-m", message)
    return str(repository.head.commit.hexsha)


def _identity(folder: Path) -> tuple[str, ...]:
    """Options that name a committer, as far as git has no name and address."""
    options: tuple[str, ...] = ()
    for key, value in COMMITTER:
        try:
            known = text(folder, "config", key)
        except GitError:
            known = ""
        if not known and not os.environ.get(f"GIT_COMMITTER_{key.rpartition('.')[2].upper()}"):
            options += ("-c", f"{key}={value}")
    return options


def _same_content(root: Path, commit: str, paths: set[str]) -> list[str]:
    """Index lines for files whose content is the same in both commits but whose size on disk is not: git would take
    them for changed."""
    if not paths:
        return []
    entries = os.fsdecode(read(root, "ls-tree", "-r", "-z", "--full-tree", commit)).split("\0")
    fields = [entry.partition("\t") for entry in entries if entry]
    return [f"{head.split()[0]} {head.split()[2]}\t{path}\0" for head, _, path in fields if path in paths]


def _index_line(file: git.FileChange) -> str:
    """A line for `update-index --index-info` with the newer mode and object; mode 0 removes a path. When sorted,
    removals come first: a file whose name becomes a folder must be removed before."""
    if file.new_mode == git.NONE:
        return f"0 {'0' * len(file.new_blob)}\t{file.path}\0"
    return f"{file.new_mode} {file.new_blob}\t{file.path}\0"
