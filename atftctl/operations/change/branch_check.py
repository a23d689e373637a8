"""May a branch of the project be moved, and back?"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import Refused
from atftctl.domain.text import listed
from atftctl.host.git import command as git_command
from atftctl.host.git import facts as git
from atftctl.host.git import worktree
from atftctl.host.git.command import GitError
from atftctl.operations.project import Project
from atftctl.operations.request import Request


def obstacle(project: Project) -> Refused | None:
    """Why the branch can't be moved safely, whatever is to be changed; None where nothing stands against it. Raises
    GitError."""
    root = project.layout.root
    if not git.branch(root):
        return Refused("HEAD is detached: there is no branch to move", hint="git switch main")
    if git.is_shallow(root):
        return Refused("the repository is shallow: its history is cut", hint="git fetch --unshallow")
    if what := git.operation_in_progress(root):
        return Refused(
            f"git is in the middle of something else ({what})", hint="git status; finish or abort that first"
        )
    return None


def may_move(project: Project) -> str:
    """The commit that stands. Raises Refused where a branch can't be moved safely, GitError."""
    if found := obstacle(project):
        raise found
    return git.commit_of(project.layout.root, "HEAD")


def dirty_among(project: Project, paths: Collection[str], *, filters: bool = True) -> list[str]:
    """Those of these files (by their path from the repository's top) that differ from the last commit, in the work tree
    or in the index. Without `filters`, as in a dry run, those that a filter is run for are not compared. Raises
    GitError."""
    root = project.layout.root
    changed = worktree.dirty(root) if filters else git.dirty(root)
    words = ("diff", "--cached", "--name-only", "-z", "--no-ext-diff", "--no-textconv", "HEAD", "--")
    staged = os.fsdecode(git_command.read(root, *words)).split("\0")
    return sorted({*changed, *staged} & set(paths))


def refuse_dirty(paths: Collection[str]) -> None:
    """Raises Refused where there are any, as `git revert` does."""
    if paths:
        raise Refused(
            f"not committed, and changed by the commits too: {listed(sorted(paths), 8)}",
            hint="git commit or git restore them, then this again; rollback --to, --symptom work even so",
        )


def back(project: Project, entry: Mapping[str, Any], request: Request) -> CodeMove:
    """For the undo of an operation that moved the branch: what was committed before comes back as a commit on top.
    History is never rewritten. Raises Refused."""
    try:
        move, root = CodeMove.from_json(entry["git"]), project.layout.root
    except (KeyError, TypeError):
        raise Refused(f"the history does not say which branch {entry['operation']} moved") from None
    stands_still(project, move, str(entry["operation"]))
    if request.dry_run:
        return CodeMove(move.branch, move.new, move.old)
    message = f"Undo {entry['operation']}: back to what {move.old[:12]} held"
    try:
        return CodeMove(move.branch, move.new, worktree.commit_tree(root, move.old, move.new, message))
    except GitError as error:
        raise Refused(str(error)) from None


def stands_still(project: Project, move: CodeMove, operation: str) -> None:
    """Raises Refused where the branch has moved on since. Each file is held against the operation's record besides."""
    try:
        head = may_move(project)
        found = git.branch(project.layout.root)
    except GitError as error:
        raise Refused(str(error)) from None
    if found != move.branch or head != move.new:
        raise Refused(
            f"the branch has moved on since {operation}",
            hint=f"git switch {move.branch.removeprefix('refs/heads/')}; git revert takes single commits back",
        )
