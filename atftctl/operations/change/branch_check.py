"""Check that a branch of the project can be moved, and moved back."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import Refused
from atftctl.domain.text import listed
from atftctl.host.errors import reason
from atftctl.host.git import command as git_command
from atftctl.host.git import facts as git
from atftctl.host.git import worktree
from atftctl.host.git.command import GitError
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.protocol.messages import tr


def obstacle(project: Project) -> Refused | None:
    """Return why the branch can't be moved, whatever is to change; None where it can be. Raises GitError."""
    root = project.layout.root
    if not git.branch(root):
        return Refused(tr("HEAD is detached: no branch is checked out that could be moved"), hint="git switch main")
    if git.is_shallow(root):
        return Refused(tr("the repository is a shallow clone: its history is incomplete"), hint="git fetch --unshallow")
    if operation := git.operation_in_progress(root):
        return Refused(
            tr("git has not finished another operation ({operation})", operation=operation),
            hint=tr("finish or abort that operation first; see: git status"),
        )
    return None


def current_commit(project: Project) -> str:
    """Return the commit of the branch. Raises Refused where the branch can't be moved, GitError."""
    if error := obstacle(project):
        raise error
    return git.commit_of(project.layout.root, "HEAD")


def uncommitted_among(project: Project, paths: Collection[str], *, filters: bool = True) -> list[str]:
    """Return those of these files that differ from the last commit, in the work tree or in the index.

    `paths`: relative to the top of the repository. `filters`: False skips files that a filter is run for, as in a dry
    run. Raises GitError.
    """
    root = project.layout.root
    changed = worktree.dirty(root) if filters else git.dirty(root)
    arguments = ("diff", "--cached", "--name-only", "-z", "--no-ext-diff", "--no-textconv", "HEAD", "--")
    staged = os.fsdecode(git_command.read(root, *arguments)).split("\0")
    return sorted({*changed, *staged} & set(paths))


def refuse_uncommitted(paths: Collection[str]) -> None:
    """Raises Refused where there are any, as `git revert` does."""
    if paths:
        raise Refused(
            tr("uncommitted changes in files that the commits change too: {paths}", paths=listed(sorted(paths), 8)),
            hint=tr(
                "commit or restore these files with git, then run this command again; rollback --to "
                "and --symptom work without that"
            ),
        )


def move_back(project: Project, entry: Mapping[str, Any], request: Request) -> CodeMove:
    """Return the move that undoes an operation that moved the branch: a new commit on top with the old content.

    History is never rewritten. `entry`: the operation's entry in the history. A dry run creates no commit. Raises
    Refused.
    """
    try:
        move, root = CodeMove.from_json(entry["git"]), project.layout.root
    except (KeyError, TypeError):
        raise Refused(
            tr("the history does not say which branch {operation} moved", operation=entry["operation"])
        ) from None
    require_unmoved(project, move, str(entry["operation"]))
    if request.dry_run:
        return CodeMove(move.branch, move.new, move.old)
    message = f"Undo {entry['operation']}: back to what {move.old[:12]} held"
    try:
        return CodeMove(move.branch, move.new, worktree.commit_tree(root, move.old, move.new, message))
    except GitError as error:
        raise Refused(reason(error)) from None


def require_unmoved(project: Project, move: CodeMove, operation: str) -> None:
    """Raises Refused where the branch has moved since the operation. The files are compared elsewhere."""
    try:
        head = current_commit(project)
        branch = git.branch(project.layout.root)
    except GitError as error:
        raise Refused(reason(error)) from None
    if branch != move.branch or head != move.new:
        name = move.branch.removeprefix("refs/heads/")
        raise Refused(
            tr("the branch has moved since {operation}", operation=operation),
            hint=tr(
                "switch to the branch: git switch {branch}; or revert single commits: git revert COMMIT", branch=name
            ),
        )
