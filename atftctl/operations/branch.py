"""May a branch of the project be moved, and back?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.domain.code import CodeMove
from atftctl.domain.errors import Refused
from atftctl.host import worktree
from atftctl.host.worktree import GitError
from atftctl.operations.project import Project
from atftctl.operations.request import Request


def may_move(project: Project) -> str:
    """The commit that stands. Raises Refused where a branch can't be moved safely, GitError."""
    root = project.layout.root
    if not worktree.branch(root):
        raise Refused("HEAD is detached: there is no branch to move", then="git switch main")
    if worktree.shallow(root):
        raise Refused("the repository is shallow: its history is cut", then="git fetch --unshallow")
    if what := worktree.under_way(root):
        raise Refused(f"git is in the middle of something else ({what})", then="git status; finish or abort that first")
    if dirty := worktree.dirty(root):
        raise Refused(
            f"the work tree has changes that are not committed: {', '.join(dirty[:8])}",
            then="git commit or git stash them, then this again; rollback --to, --symptom work even so",
        )
    return worktree.commit_of(root, "HEAD")


def back(project: Project, entry: Mapping[str, Any], request: Request) -> CodeMove:
    """For the undo of an operation that moved the branch: what was committed before comes back as a commit on top.
    History is never rewritten. Raises Refused."""
    move, root = CodeMove.from_json(entry["git"]), project.layout.root
    stands_still(project, move, str(entry["operation"]))
    if request.dry_run:
        return CodeMove(move.branch, move.new, move.old)
    message = f"Undo {entry['operation']}: back to what {move.old[:12]} held"
    try:
        return CodeMove(move.branch, move.new, worktree.commit_tree(root, move.old, move.new, message))
    except GitError as error:
        raise Refused(str(error)) from None


def stands_still(project: Project, move: CodeMove, operation: str) -> None:
    """Raises Refused where the branch has moved on since, or what is committed is not what stands."""
    try:
        head = may_move(project)
        found = worktree.branch(project.layout.root)
    except GitError as error:
        raise Refused(str(error)) from None
    if found != move.branch or head != move.new:
        raise Refused(
            f"the branch has moved on since {operation}",
            then=f"git switch {move.branch.removeprefix('refs/heads/')}; git revert takes single commits back",
        )
