"""`rollback --git`: revert commits, and put the files of the revert in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.plans import by_commits as decide
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.host.errors import reason
from atftctl.host.git import facts as git
from atftctl.host.git import worktree
from atftctl.host.git.command import GitError
from atftctl.operations.change import branch_check
from atftctl.operations.change.change import Change
from atftctl.operations.change.project_lock import recover_first
from atftctl.operations.project import Project, observe
from atftctl.operations.request import Request, Stopwatch, review, yes
from atftctl.operations.rollback import carried_settings
from atftctl.operations.rollback.auto_undo import carry_out_or_undo
from atftctl.operations.rollback.commit_selection import CommitSelection, choose_commits
from atftctl.operations.rollback.work_tree import revert_apart
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr


def revert(project: Project, selection: CommitSelection, policy: RestartPolicy, request: Request) -> Result:
    """Revert commits. Raises Refused where git, a hook or the smoke check fails: nothing has changed then."""
    if project.layout.pending.exists():
        from atftctl.operations import overdue

        overdue.attend(project, request)  # an overdue undo may move the branch
    if not request.dry_run:
        recover_first(project, "rollback --git", request)  # or the work tree may be half of two commits
    watch = Stopwatch(request.report)
    try:
        base = git.commit_of(project.layout.root, "HEAD")
        commits = choose_commits(project, selection, base)
        plan = _plan(project, commits, base, policy, request)
        if dry_run := review(plan, request, ask=False):
            return dry_run
        reverted = revert_apart(project, commits, base, request, watch)
    except GitError as error:
        raise Refused(reason(error), hint="git status; git log --oneline") from None

    def check() -> None:
        if branch_check.current_commit(project) != base:
            raise Refused(
                tr("the plan is out of date: the branch has moved since it was made"),
                hint=tr("run this command again and review the new plan"),
            )

    change = Change(
        lambda facts: decide.reverted(
            project.runbook, facts, commits, reverted.move, reverted.files, policy, reverted.notes
        ),
        digests_of=tuple(file.path for file in reverted.files),
        contents=reverted.contents,
        check=check,
    )
    result = carry_out_or_undo(project, change, policy, replace(request, seen=yes))
    result = replace(result, parts=(*watch.parts, *result.parts))
    return (
        _push(project, result, reverted.move, request) if selection.push and result.exit_code is Exit.DONE else result
    )


def _plan(project: Project, commits: Sequence[Commit], base: str, policy: RestartPolicy, request: Request) -> Plan:
    """Return the plan that a dry run shows, with notes on what it would be refused for. Raises Refused for that where
    it is no dry run; GitError."""
    obstacles = _obstacles(project, commits, base, request)
    notes = tuple(tr("this would be refused now: {reason}", reason=error.message) for error in obstacles)
    plan = decide.candidates(project.runbook, observe(project), commits, base, policy, notes)
    if obstacles and not request.dry_run:
        raise obstacles[0]
    return plan


def _obstacles(project: Project, commits: Sequence[Commit], base: str, request: Request) -> list[Refused]:
    """Return why these commits can't be reverted, as far as that is known before it is tried. Raises GitError."""
    obstacles = [error for error in (branch_check.obstacle(project), _locked_repository(project)) if error]
    if outside := [path for commit in commits for path in commit.outside]:
        obstacles.append(Refused(tr("one of the commits changes {path}, outside of the project", path=outside[0])))
    top, filters = git.prefix(project.layout.root), request.may_run_filters
    changed = {f"{top}{path}" for commit in commits for path in commit.files}
    blocked = [
        path
        for path in branch_check.uncommitted_among(project, changed, filters=filters)
        if not _is_carried(project, base, path.removeprefix(top), filters=filters)
    ]
    try:
        branch_check.refuse_uncommitted(blocked)
    except Refused as error:
        obstacles.append(error)
    return obstacles


def _locked_repository(project: Project) -> Refused | None:
    """Return the error for a lock file of git; None where there is none. Raises GitError."""
    root = project.layout.root
    locks = [lock for lock in worktree.locks_of(root, git.branch(root) or "HEAD") if lock.exists()]
    if not locks:
        return None
    return Refused(
        tr("the git repository is locked ({file}): another git process is running, or one crashed", file=locks[0].name),
        hint=tr("if no git process is running: rm {path}", path=locks[0]),
    )


def _is_carried(project: Project, base: str, name: str, *, filters: bool) -> bool:
    """Is an uncommitted file a config whose changes are settings that atftctl made?"""
    if name not in project.runbook.files.configs:
        return False
    return carried_settings.own_edits(project, base, name, filters=filters) is not None


def _push(project: Project, result: Result, move: CodeMove, request: Request) -> Result:
    """Push the branch once `verify` has passed; never with force. The revert stays in any case."""
    from atftctl.operations.verification.checklist import verify

    remote = project.runbook.git.remote
    try:
        verified = verify(project, request)
        if verified.exit_code is not Exit.DONE:
            raise Refused(tr("verify: {headline}", headline=verified.headline))
        line = worktree.push(project.layout.root, remote, move.branch)
    except (AtftError, GitError) as error:
        problem = error.message if isinstance(error, AtftError) else reason(error)
        return replace(
            result,
            exit_code=Exit.CHECK_FAILED,
            headline=tr("{headline}; not pushed: {reason}", headline=result.headline, reason=problem),
            lines=(*result.lines, tr("next: git push {remote}, once the problem is solved", remote=remote)),
            contacts=project.contacts,
        )
    return replace(result, lines=(*result.lines, line), data=replace(result.change, pushed=True))
