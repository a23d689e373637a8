"""The branch follows the files: the last part of an operation that takes commits back, as often as it is begun."""

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
from atftctl.state.layout import Layout

CLOCK_S = 2.0  # what the file system's clock may be behind ours


def finish(layout: Layout, move: CodeMove, files: Iterable[Move], why: str) -> None:
    """All files are the new ones by now: the branch moves, and folders that are left empty go, as git has it. Raises
    GitError where the branch is neither the old nor the new one."""
    files = list(files)
    written = [file.path for file in files if file.new is not None]
    worktree.move_branch(layout.root, move.branch, move.old, move.new, f"atftctl: {why}", written)
    for gone in (file.path for file in files if file.new is None):
        for folder in (layout.root / gone).parents:
            if folder == layout.root or not _removed(folder):
                break


def _removed(folder: Path) -> bool:
    """An empty folder is gone; False for one that is not empty, or is no folder of the project's own any more."""
    try:
        with opened(folder.parent) as parent:
            os.rmdir(folder.name, dir_fd=parent)
    except (OSError, HostError):
        return False
    return True


def rehearse(layout: Layout, move: CodeMove) -> None:
    """Before the decision: hooks and locks that would not let the branch move. Raises GitError."""
    worktree.may_move(layout.root, move.branch, move.old, move.new)


def has_moved(layout: Layout, move: CodeMove) -> bool:
    """Raises GitError."""
    return git_command.text(layout.root, "rev-parse", "--verify", move.branch) == move.new


def remove_our_locks(layout: Layout, move: CodeMove, started: str) -> list[str]:
    """Lock files that git of our operation left when it died: the operation found none before it began, and they are
    younger than it. The names of those that were removed. Raises GitError where a git is at work here."""
    try:
        since = datetime.fromisoformat(started).timestamp() - CLOCK_S
    except ValueError:
        return []
    left = worktree.left_by_the_dead(worktree.locks_of(layout.root, move.branch), since)
    if left and (pids := worktree.living(layout.root)):
        raise GitError(f"git is at work here (pid {', '.join(map(str, pids))})")
    for lock in left:
        remove(lock)
    return [lock.name for lock in left]


def new_worktree(layout: Layout, commit: str) -> str:
    """A work tree of its own at this commit; its name below `.atftctl/worktrees/`. Who made it is in the name, so that
    nobody takes it from under a living process."""
    name = f"{owner.mine()}-{commit[:12]}"
    make_dirs(layout.worktrees, 0o700)
    drop_worktree(layout, name)
    try:
        worktree.add(layout.root, layout.worktrees / name, commit)
    except GitError:  # a hook that says no leaves it behind
        drop_worktree(layout, name)
        raise
    return name


def drop_worktree(layout: Layout, name: str) -> None:
    folder = layout.worktrees / name
    with suppress(GitError):
        worktree.drop(layout.root, folder)
    remove_tree(folder)


def sweep_worktrees(layout: Layout) -> None:
    """Those whose maker has died. Best effort: they stand in nobody's way."""
    if not layout.worktrees.is_dir():
        return
    for folder in layout.worktrees.iterdir():
        if not owner.alive(folder.name):
            with suppress(OSError):
                drop_worktree(layout, folder.name)
    with suppress(GitError):
        worktree.forget(layout.root)
