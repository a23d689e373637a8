"""Git as something that changes: reverts in a work tree beside the project's, and the branch moved at the end. Here the
repository's own config counts: its hooks run, its filters too, with the rights of whoever owns the project."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from atftctl.host.files.folders import remove_tree
from atftctl.host.git import command as git_command
from atftctl.host.git import facts as git
from atftctl.host.git.command import GitError
from atftctl.host.git.facts import NONE

LIMIT_S = 120.0
DURABLE = ("-c", "core.fsmonitor=false", "-c", "core.fsync=all")
LOCKS = ("index.lock", "HEAD.lock", "packed-refs.lock")


def run(root: Path, *words: str, limit_s: float = LIMIT_S, said: bytes = b"") -> str:
    """Its standard output as text. Objects and references are durable when it returns. `said`: to its standard input.
    Raises GitError."""
    return os.fsdecode(git_command.execute(root, DURABLE, words, limit_s, said))


def file_as_checked_out(root: Path, commit: str, path: str, *, filters: bool = True) -> bytes:
    """The bytes that `git checkout COMMIT -- PATH` would write. Without `filters`, as a dry run asks for it: those that
    the repository has; no program that its config names is run. Raises GitError."""
    if not filters:
        return git_command.read(root, "cat-file", "blob", f"{commit}:./{path}")
    return git_command.execute(root, DURABLE, ("cat-file", "--filters", f"{commit}:./{path}"), LIMIT_S)


def dirty(root: Path) -> list[str]:
    """As `git.dirty`, with the files that a filter is run for. Raises GitError."""
    return [name for name in run(root, *git.DIRTY).split("\0") if name]


def add(root: Path, folder: Path, commit: str) -> None:
    run(root, "worktree", "add", "--detach", "--quiet", str(folder), commit)


def drop(root: Path, folder: Path) -> None:
    """Gone, and forgotten by git. Raises GitError."""
    run(root, "worktree", "remove", "--force", "--force", str(folder))


def prune(root: Path) -> None:
    """Work trees whose folders are gone."""
    run(root, "worktree", "prune")


def revert(folder: Path, commit: str, *, merge: bool) -> None:
    """One commit more, that takes this one back; hooks run as the repository has them. Raises GitError, and leaves no
    revert half done."""
    words = ["revert", "--no-edit", *(("-m", "1") if merge else ()), commit]
    try:
        run(folder, *identity(folder), *words)
    except GitError as error:
        conflicts = os.fsdecode(git_command.read(folder, "diff", "--name-only", "-z", "--diff-filter=U")).split("\0")
        if named := [name for name in conflicts if name]:
            raise GitError(f"conflict in {', '.join(named)}") from None
        if "gpg" in str(error) or "sign" in str(error):
            raise CannotSignError(str(error)) from None
        raise


class CannotSignError(GitError):
    """The repository wants its commits signed, and that failed."""


def identity(folder: Path) -> tuple[str, ...]:
    """Who commits, where nobody has told git: what is missing of name and address."""
    found: tuple[str, ...] = ()
    for key, value in (("user.name", "atftctl"), ("user.email", "atftctl@localhost")):
        try:
            known = git_command.text(folder, "config", key)
        except GitError:
            known = ""
        if not known and not os.environ.get(f"GIT_COMMITTER_{key.rpartition('.')[2].upper()}"):
            found += ("-c", f"{key}={value}")
    return found


def reset_files(folder: Path, commit: str, names: Iterable[str]) -> None:
    """These files of a work tree of ours, as git checks them out for this commit: with that commit's attributes, and
    whatever has been written there since."""
    for name in names:
        remove_tree(folder / name)
    run(folder, "reset", "--hard", "--quiet", commit)


def commit_tree(root: Path, tree_of: str, parent: str, message: str) -> str:
    """A commit on top of `parent` that holds what `tree_of` held."""
    return run(root, *identity(root), "commit-tree", f"{tree_of}^{{tree}}", "-p", parent, "-m", message).strip()


def locks_of(root: Path, name: str) -> list[Path]:
    """The lock files that a move of this branch takes, whether they are there or not. Raises GitError."""
    folder = git.git_folder(root)
    common = Path(git_command.text(root, "rev-parse", "--git-common-dir"))
    common = common if common.is_absolute() else (root / common).resolve()
    return [*(folder / lock for lock in LOCKS[:2]), common / LOCKS[2], common / f"{name}.lock"]


def check_branch_can_move(root: Path, name: str, old: str, new: str) -> None:
    """Would the branch move? Hooks and locks are asked, nothing is changed. Raises GitError."""
    if locked := [lock.name for lock in locks_of(root, name) if lock.exists()]:
        raise GitError(f"git's repository is locked ({', '.join(locked)}): another git runs here, or died")
    run(root, "update-ref", "--stdin", said=os.fsencode(f"start\nupdate {name} {new} {old}\nprepare\nabort\n"))


def move_branch(root: Path, name: str, old: str, new: str, message: str, written: Iterable[str] = ()) -> None:
    """From `old` and from nothing else; of the index the paths between both follow, and those of `written` (from the
    project's folder), which have other bytes for the same content; files are not touched. May be done again. Raises
    GitError where another branch is checked out, or this one has moved on."""
    if (found := git.branch(root)) != name:
        raise GitError(f"{found or 'no branch'} is checked out, not {name}")
    if git_command.text(root, "rev-parse", "--verify", name) != new:
        run(root, "update-ref", "-m", message, name, new, old)
    changes = git.changes(root, old, new)
    top = git.prefix(root)
    lines = [_index_line(change) for change in changes]
    lines += _same_content(root, new, {f"{top}{path}" for path in written} - {change.path for change in changes})
    run(root, "update-index", "-z", "--index-info", said=os.fsencode("".join(sorted(lines))))
    try:
        run(root, "update-index", "-q", "--refresh")
    except GitError:
        return  # it says so where a file differs from the index; that is for the user to see


def _same_content(root: Path, commit: str, paths: set[str]) -> list[str]:
    """Index lines for files whose content is the same in both commits: git would take another size for a change."""
    if not paths:
        return []
    entries = os.fsdecode(git_command.read(root, "ls-tree", "-r", "-z", "--full-tree", commit)).split("\0")
    fields = [entry.partition("\t") for entry in entries if entry]
    return [f"{head.split()[0]} {head.split()[2]}\t{path}\0" for head, _, path in fields if path in paths]


def _index_line(change: git.FileChange) -> str:
    """What `update-index --index-info` takes: the newer side's mode and object; mode 0 takes a path out. Sorted, those
    that go come first: a file whose name becomes a folder must be out by then."""
    if change.new_mode == NONE:
        return f"0 {'0' * len(change.new_blob)}\t{change.path}\0"
    return f"{change.new_mode} {change.new_blob}\t{change.path}\0"


def push(root: Path, remote: str, name: str) -> str:
    """Never forced. Git's own words. Raises GitError."""
    run(root, "push", "--porcelain", remote, f"{name}:{name}", limit_s=300)
    return f"pushed {name} to {remote}"


def create_repository(root: Path, message: str) -> str:
    """A new repository with everything in `root` as its first commit; the commit's id."""
    import git as gitpython

    repository = gitpython.Repo.init(root, initial_branch="main")
    with repository.config_writer() as config:
        config.set_value("user", "name", "atftctl")
        config.set_value("user", "email", "atftctl@localhost")
        config.set_value("commit", "gpgsign", "false")
    repository.git.add("--all")
    repository.git.commit("--quiet", "--no-verify", "-m", message)
    return str(repository.head.commit.hexsha)


def running_git_processes(root: Path) -> list[int]:
    """Processes of git that work in this repository. Raises GitError."""
    from atftctl.host.process import table as procs

    folders = {str(root.resolve()), git_command.text(root, "rev-parse", "--show-toplevel"), str(git.git_folder(root))}
    return procs.named("git", folders)


def stale_locks(locks: Sequence[Path], since: float) -> list[Path]:
    """Those that are there, and were made after `since` (seconds since 1970)."""
    found = []
    for lock in locks:
        try:
            facts = lock.lstat()
        except OSError:
            continue
        if facts.st_mtime >= since:
            found.append(lock)
    return found
