"""Revert commits in a separate work tree, and check there that the code still runs; the project is not changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from atftctl.apply.branch_move import drop_worktree, new_worktree
from atftctl.apply.trainer_process import command
from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.errors import Refused
from atftctl.host.errors import reason
from atftctl.host.git import facts as git
from atftctl.host.git import worktree
from atftctl.host.git.command import GitError
from atftctl.host.process.command import run
from atftctl.observe.trainer_run import probes
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.rollback import reverted_files
from atftctl.operations.rollback.reverted_files import Reverted
from atftctl.protocol.messages import tr


def revert_apart(
    project: Project, commits: Sequence[Commit], base: str, request: Request, watch: Stopwatch
) -> Reverted:
    """Revert the commits on top of `base`, run the smoke check, read the files; the work tree is removed again. Raises
    Refused where git, a hook or the smoke check fails, GitError."""
    layout = project.layout
    with locked(project, "rollback --git", request):
        name = new_worktree(layout, base)
    folder = layout.worktrees / name
    try:
        with watch.part("revert"):
            for commit in commits:
                _revert(folder, commit)
        new = git.commit_of(folder, "HEAD")
        with watch.part("smoke check"):
            _smoke_check(project, name)
        return reverted_files.read(project, folder, CodeMove(git.branch(layout.root), base, new))
    finally:
        drop_worktree(layout, name)


def _revert(folder: Path, commit: Commit) -> None:
    """Raises Refused where git can't revert the commit, and says what to do about it."""
    values = {"commit": commit.id[:12], "subject": commit.subject}
    try:
        worktree.revert(folder, commit.id, merge=commit.merge)
    except worktree.CannotSignError as error:
        raise Refused(
            tr(
                "{commit} ({subject}) can't be reverted: the new commit can't be signed: {reason}",
                reason=reason(error),
                **values,
            ),
            hint=tr("correct the signing key, or turn signing off for now: git config commit.gpgsign false"),
        ) from None
    except GitError as error:
        conflict = str(error).startswith("conflict")
        raise Refused(
            tr("{commit} ({subject}) can't be reverted: {reason}", reason=reason(error), **values),
            hint=tr("also name the later commits that build on this commit, or use --since")
            if conflict
            else tr("run git revert by hand to see the problem"),
        ) from None


def _smoke_check(project: Project, name: str) -> None:
    """Raises Refused where the reverted code does not run. `name`: of the work tree."""
    rules, root = project.runbook.git, project.layout.root
    if not rules.smoke:
        return
    folder = project.layout.worktrees / name / git.prefix(root)
    argv = command(rules.smoke, python=sys.executable)
    done = run(argv, cwd=folder, env=probes.environment(folder), limit_s=rules.smoke_limit_s)
    if done.code != 0:
        raise Refused(
            tr(
                "the smoke check fails with these commits reverted ({end}): {line}",
                end=done.ended,
                line=done.last_line[:300],
            )
        )
