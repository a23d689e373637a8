"""`rollback --git` and `rollback --full`: the ways back that touch code."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atftctl.apply import branch_move as kept_commits
from atftctl.apply.trainer_process import command
from atftctl.decide.plans import by_commits as decide
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.text import counted, listed
from atftctl.host.git import command as git_command
from atftctl.host.git import facts as git
from atftctl.host.git import worktree
from atftctl.host.git.command import GitError
from atftctl.host.process.command import run
from atftctl.observe.trainer_run import probes
from atftctl.operations.change import branch_check
from atftctl.operations.change.change import Change
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, observe
from atftctl.operations.request import Request, Stopwatch, review, yes
from atftctl.operations.rollback import carried_settings, reverted_files
from atftctl.operations.rollback.auto_undo import carry_out_or_undo
from atftctl.operations.rollback.reverted_files import Reverted
from atftctl.protocol import Exit

PROBE_STEPS = 5


@dataclass(frozen=True)
class CommitSelection:
    """Which commits: by name, all after a reference, or by their subjects."""

    commits: tuple[str, ...] = ()
    since: str = ""
    grep: str = ""
    push: bool = False


def revert(project: Project, asked: CommitSelection, wish: RestartPolicy, request: Request) -> Result:
    """Raises Refused, and nothing has moved, for whatever git, a hook or the smoke check says no to."""
    if not request.dry_run:
        with locked(project, "rollback --git", request):
            pass  # what a crash left open comes first: the tree may be half of two
    watch = Stopwatch(request.report)
    try:
        base = git.commit_of(project.layout.root, "HEAD")
        chosen = _chosen(project, asked, base)
        shown = _shown(project, chosen, base, wish, request)
        if dry_run := review(shown, request, ask=False):
            return dry_run
        found = _in_worktree(project, chosen, base, request, watch)
    except GitError as error:
        raise Refused(str(error), hint="git status; git log --oneline") from None

    def check() -> None:
        if branch_check.may_move(project) != base:
            raise Refused("the branch has moved meanwhile", hint="look at it again, and run it again")

    change = Change(
        lambda facts: decide.reverted(project.runbook, facts, chosen, found.move, found.files, wish, found.notes),
        digests_of=tuple(file.path for file in found.files),
        contents=found.contents,
        check=check,
    )
    done = carry_out_or_undo(project, change, wish, replace(request, seen=yes))
    done = replace(done, parts=(*watch.parts, *done.parts))
    return _push(project, done, found.move, request) if asked.push and done.exit_code is Exit.DONE else done


def _shown(project: Project, chosen: Sequence[Commit], base: str, wish: RestartPolicy, request: Request) -> Plan:
    """What would be taken back, and what stands against it. Raises Refused for that, if it is no dry run; GitError."""
    against = _against(project, chosen, base, request)
    notes = tuple(f"as things stand this is refused: {error.message}" for error in against)
    plan = decide.candidates(project.runbook, observe(project), chosen, base, wish, notes)
    if against and not request.dry_run:
        raise against[0]
    return plan


def _against(project: Project, chosen: Sequence[Commit], base: str, request: Request) -> list[Refused]:
    """What stands against taking these commits back, as far as it can be seen before it is tried. Raises GitError."""
    found = [error for error in (branch_check.obstacle(project), _locked(project)) if error]
    if strays := [path for commit in chosen for path in commit.outside]:
        found.append(Refused(f"{strays[0]} is outside of the project, and one of these commits changes it"))
    top = git.prefix(project.layout.root)
    touched = {f"{top}{path}" for commit in chosen for path in commit.files}
    dirty = [
        path.removeprefix(top) for path in branch_check.dirty_among(project, touched, filters=request.may_run_filters)
    ]
    blocked = [f"{top}{name}" for name in dirty if not _carried(project, base, name, filters=request.may_run_filters)]
    try:
        branch_check.refuse_dirty(blocked)
    except Refused as error:
        found.append(error)
    return found


def _locked(project: Project) -> Refused | None:
    """Raises GitError."""
    root = project.layout.root
    locks = [lock for lock in worktree.locks_of(root, git.branch(root) or "HEAD") if lock.exists()]
    if not locks:
        return None
    return Refused(
        f"git's repository is locked: another git runs here, or died ({locks[0].name})",
        hint=f"rm {locks[0]}, if no git runs",
    )


def _carried(project: Project, base: str, name: str, *, filters: bool) -> bool:
    """Is a file that is not committed a config whose changes are settings that we made ourselves?"""
    if name not in project.runbook.files.configs:
        return False
    return carried_settings.own_edits(project, base, name, filters=filters) is not None


def _chosen(project: Project, asked: CommitSelection, base: str) -> list[Commit]:
    """Newest first. Raises Refused where none is named, with those that the guide's pattern finds."""
    root, rules = project.layout.root, project.runbook.git
    if asked.commits:
        names = {_ancestor(project, word, base) for word in asked.commits}
        order = git_command.text(root, "rev-list", "--topo-order", base).split()
        return [_commit(project, name) for name in order if name in names]
    words = (f"{_ancestor(project, asked.since, base)}..{base}",) if asked.since else (f"-{rules.most}", base)
    try:
        pattern = re.compile(asked.grep or ("" if asked.since else rules.pattern), re.IGNORECASE)
    except re.error as error:
        raise Refused(f"--grep {asked.grep!r} is no pattern: {error}") from None
    log = git.commits(root, git_command.text(root, "rev-list", "--first-parent", *words, "--").split())
    settled = frozenset() if asked.since else _settled(log)
    names = {one.id for one in log if pattern.search(one.subject) and one.id not in settled}
    found = [_commit(project, one.id) for one in log if one.id in names]
    where = f"since {asked.since}" if asked.since else f"among the newest {rules.most}"
    if not found:
        raise Refused(f"no commit {where} matches {pattern.pattern!r}", hint="name them: rollback --git COMMIT…")
    if not (asked.since or asked.grep):
        raise _which(project, found, f"{where} these match {pattern.pattern!r}")
    return found


def _which(project: Project, found: Sequence[Commit], words: str) -> Refused:
    """The candidates with their files; those that touch the service are marked, and are what the hint takes back."""
    lines = []
    for commit in found:
        mark = "service " if decide.touches_service(project.runbook, commit) else "        "
        files = listed(commit.files, 4) or "no files here"
        lines.append(f"{mark} {commit.id[:12]} {commit.subject} ({counted(len(commit.files), 'file')}: {files})")
    named = [commit for commit in found if decide.touches_service(project.runbook, commit)] or list(found)
    ids = " ".join(commit.id[:12] for commit in named)
    return Refused(f"which commits? {words}", lines=tuple(lines), hint=f"atftctl rollback --git {ids}")


def _settled(log: Sequence[git.CommitText]) -> frozenset[str]:
    """Commits that a later one took back, and those that took them; but for what an undo of ours brought back since."""
    found, until = set[str](), ""
    for commit in log:
        if until and not commit.id.startswith(until):
            found.add(commit.id)
            continue
        until = ""
        if undone := re.match(r"Undo \S+: back to what ([0-9a-f]+) held", commit.subject):
            found.add(commit.id)
            until = undone[1]
        elif commit.subject.startswith("Revert "):
            found |= {commit.id, *re.findall(r"This reverts commit ([0-9a-f]{40,64})", commit.body)}
    return frozenset(found)


def _ancestor(project: Project, word: str, base: str) -> str:
    root = project.layout.root
    try:
        name = git.commit_of(root, word)
    except GitError:
        raise Refused(f"{word!r} is no commit", hint="git log --oneline shows them") from None
    if not git.is_ancestor(root, name, base):
        raise Refused(f"{word} is not in the branch that is checked out")
    return name


def _commit(project: Project, name: str) -> Commit:
    root = project.layout.root
    [found] = git.commits(root, [name])
    top = git.prefix(root)
    files = git.files_of(root, name)
    inside = tuple(one.removeprefix(top) for one in files if one.startswith(top))
    outside = tuple(one for one in files if not one.startswith(top))
    return Commit(name, found.parents, found.subject, inside, outside)


def _in_worktree(project: Project, chosen: Sequence[Commit], base: str, request: Request, watch: Stopwatch) -> Reverted:
    """Revert, check, read the files; the work tree goes again. Raises Refused, GitError."""
    layout = project.layout
    with locked(project, "rollback --git", request):
        name = kept_commits.new_worktree(layout, base)
    folder = layout.worktrees / name
    try:
        with watch.part("revert"):
            for one in chosen:
                _revert(folder, one)
        new = git.commit_of(folder, "HEAD")
        with watch.part("smoke check"):
            _smoke(project, name)
        return reverted_files.read(project, folder, CodeMove(git.branch(layout.root), base, new))
    finally:
        kept_commits.drop_worktree(layout, name)


def _revert(folder: Path, commit: Commit) -> None:
    """Raises Refused."""
    what = f"{commit.id[:12]} ({commit.subject}) can't be taken back"
    try:
        worktree.revert(folder, commit.id, merge=commit.merge)
    except worktree.CannotSignError as error:
        raise Refused(
            f"{what}: its commit can't be signed: {error}",
            hint="mend the signing key, or do without for now: git config commit.gpgsign false",
        ) from None
    except GitError as error:
        conflict = str(error).startswith("conflict")
        then = "name the later commits that build on it too, or --since" if conflict else "git revert it by hand to see"
        raise Refused(f"{what}: {error}", hint=then) from None


def _smoke(project: Project, name: str) -> None:
    """Raises Refused where the reverted code does not run."""
    rules, root = project.runbook.git, project.layout.root
    if not rules.smoke:
        return
    folder = project.layout.worktrees / name / git.prefix(root)
    argv = command(rules.smoke, python=sys.executable)
    done = run(argv, cwd=folder, env=probes.environment(folder), limit_s=rules.smoke_limit_s)
    if done.code != 0:
        raise Refused(f"the smoke check fails with these commits taken back ({done.ended}): {done.last_line[:300]}")


def _push(project: Project, done: Result, move: CodeMove, request: Request) -> Result:
    """Only what `verify` passes is pushed; never forced. What was done stands in any case."""
    from atftctl.operations.verification.checklist import verify

    try:
        found = verify(project, request)
        if found.exit_code is not Exit.DONE:
            raise Refused(f"verify: {found.headline}")
        words = worktree.push(project.layout.root, project.runbook.git.remote, move.branch)
    except (AtftError, GitError) as error:
        return replace(
            done,
            exit_code=Exit.CHECK_FAILED,
            headline=f"{done.headline}; not pushed: {error}",
            lines=(*done.lines, f"next: git push {project.runbook.git.remote}, when all is well"),
            contacts=project.contacts,
        )
    return replace(done, lines=(*done.lines, words), data=replace(done.change, pushed=True))
