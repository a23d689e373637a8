"""May a branch of the project be moved?"""

from __future__ import annotations

from atftctl.domain.errors import Refused
from atftctl.host import worktree
from atftctl.operations.project import Project


def may_move(project: Project) -> str:
    """The commit that stands. Raises Refused where a branch can't be moved safely, GitError."""
    root = project.layout.root
    branch = worktree.branch(root)
    if not branch:
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
