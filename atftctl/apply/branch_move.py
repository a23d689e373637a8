"""Move the branch after the files: the last part of an operation that reverts commits. It can be repeated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from atftctl.apply.moves import Move
from atftctl.domain.commits import CodeMove
from atftctl.host.errors import HostError
from atftctl.host.files.durable import remove
from atftctl.host.files.folders import make_dirs, opened, remove_tree
from atftctl.host.git import command as git_command
from atftctl.host.git import worktree
from atftctl.host.git.command import GitError
from atftctl.host.process import owner
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

CLOCK_S = 2.0  # what the file system's clock may be behind ours


def finish(layout: Layout, move: CodeMove, files: Iterable[Move], why: str) -> None:
    """Move the branch once all files are the new ones, and remove folders that became empty, as git does.

    Raises GitError where the branch is neither at the old nor at the new commit.
    """
    files = list(files)
    written = [file.path for file in files if file.new is not None]
    worktree.move_branch(layout.root, move.branch, move.old, move.new, f"atftctl: {why}", written)
    for path in (file.path for file in files if file.new is None):
        for folder in (layout.root / path).parents:
            if folder == layout.root or not _remove_empty(folder):
                break


def _remove_empty(folder: Path) -> bool:
    """Remove a folder if it is empty. False where it is not, or where it is no longer a folder inside the project."""
    try:
        with opened(folder.parent) as parent:
            os.rmdir(folder.name, dir_fd=parent)
    except (OSError, HostError):
        return False
    return True


def rehearse(layout: Layout, move: CodeMove) -> None:
    """Check before the decision that no hook and no lock prevents the move. Raises GitError."""
    worktree.check_branch_can_move(layout.root, move.branch, move.old, move.new)


def has_moved(layout: Layout, move: CodeMove) -> bool:
    """Is the branch at the new commit? Raises GitError."""
    return git_command.text(layout.root, "rev-parse", "--verify", move.branch) == move.new


def remove_our_locks(layout: Layout, move: CodeMove, started: str) -> list[str]:
    """Remove the lock files that git left when our operation died, and return their names.

    They are known by their age: the operation began only after it had found no lock. Raises GitError where a git
    process runs in this repository.
    """
    try:
        since = datetime.fromisoformat(started).timestamp() - CLOCK_S
    except ValueError:
        return []
    left = worktree.stale_locks(worktree.locks_of(layout.root, move.branch), since)
    if left and (pids := worktree.running_git_processes(layout.root)):
        raise GitError(tr("git is running in this repository (pid {pids})", pids=", ".join(map(str, pids))))
    for lock in left:
        remove(lock)
    return [lock.name for lock in left]


def new_worktree(layout: Layout, commit: str) -> str:
    """Create a work tree at this commit and return its name below `.atftctl/worktrees/`.

    The name holds the identity of this process, so that `sweep_worktrees` leaves it alone while this process lives.
    Raises GitError.
    """
    name = f"{owner.own_name()}-{commit[:12]}"
    make_dirs(layout.worktrees, 0o700)
    drop_worktree(layout, name)
    try:
        worktree.add(layout.root, layout.worktrees / name, commit)
    except GitError:  # a hook that refuses leaves the work tree behind
        drop_worktree(layout, name)
        raise
    return name


def drop_worktree(layout: Layout, name: str) -> None:
    folder = layout.worktrees / name
    with suppress(GitError):
        worktree.drop(layout.root, folder)
    remove_tree(folder)


def sweep_worktrees(layout: Layout) -> None:
    """Remove work trees whose process has died. Best effort: they disturb nothing."""
    if not layout.worktrees.is_dir():
        return
    for folder in layout.worktrees.iterdir():
        if not owner.alive(folder.name):
            with suppress(OSError):
                drop_worktree(layout, folder.name)
    with suppress(GitError):
        worktree.prune(layout.root)
