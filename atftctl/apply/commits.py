"""The branch follows the files: the last part of an operation that takes commits back, as often as it is begun."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from atftctl.apply.transaction import Move
from atftctl.domain.code import CodeMove
from atftctl.host import makers, worktree
from atftctl.host.files import make_dirs, remove_tree
from atftctl.host.layout import Layout


def finish(layout: Layout, move: CodeMove, files: Iterable[Move], why: str) -> None:
    """All files are the new ones by now: the branch moves, and folders that are left empty go, as git has it. Raises
    GitError where the branch is neither the old nor the new one."""
    worktree.move_branch(layout.root, move.branch, move.old, move.new, f"atftctl: {why}")
    for gone in (file.path for file in files if file.new is None):
        with suppress(OSError):  # not empty, or gone already
            os.removedirs((layout.root / gone).parent)


def rehearse(layout: Layout, move: CodeMove) -> None:
    """Before the decision: hooks and locks that would not let the branch move. Raises GitError."""
    worktree.may_move(layout.root, move.branch, move.old, move.new)


def new_worktree(layout: Layout, commit: str) -> str:
    """A work tree of its own at this commit; its name below `.atftctl/worktrees/`. Who made it is in the name, so that
    nobody takes it from under a living process."""
    name = f"{makers.mine()}-{commit[:12]}"
    make_dirs(layout.worktrees, 0o700)
    drop_worktree(layout, name)
    try:
        worktree.add(layout.root, layout.worktrees / name, commit)
    except worktree.GitError:  # a hook that says no leaves it behind
        drop_worktree(layout, name)
        raise
    return name


def drop_worktree(layout: Layout, name: str) -> None:
    folder = layout.worktrees / name
    with suppress(worktree.GitError):
        worktree.drop(layout.root, folder)
    remove_tree(folder)


def sweep_worktrees(layout: Layout) -> None:
    """Those whose maker has died. Best effort: they stand in nobody's way."""
    if not layout.worktrees.is_dir():
        return
    for folder in layout.worktrees.iterdir():
        if not makers.alive(folder.name):
            with suppress(OSError):
                drop_worktree(layout, folder.name)
    with suppress(worktree.GitError):
        worktree.forget(layout.root)
