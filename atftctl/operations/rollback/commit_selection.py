"""Choose the commits that `rollback --git` reverts: by name, all after a reference, or by their subjects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from atftctl.decide.plans.by_commits import touches_service
from atftctl.domain.commits import Commit
from atftctl.domain.errors import Refused
from atftctl.domain.text import listed
from atftctl.host.git import command as git_command
from atftctl.host.git import facts as git
from atftctl.host.git.command import GitError
from atftctl.operations.project import Project
from atftctl.protocol.messages import tr, trn

UNDO = re.compile(r"Undo \S+: back to what ([0-9a-f]+) held")  # the subject of a commit that an undo made
REVERTED = re.compile(r"This reverts commit ([0-9a-f]{40,64})")


@dataclass(frozen=True)
class CommitSelection:
    """Which commits to revert. `commits`: by name. `since`: all after this one. `grep`: those whose subject matches.
    `push`: push the revert once `verify` has passed."""

    commits: tuple[str, ...] = ()
    since: str = ""
    grep: str = ""
    push: bool = False


def choose_commits(project: Project, selection: CommitSelection, base: str) -> list[Commit]:
    """Return the commits to revert, the newest first. `base`: the commit of the branch.

    Raises Refused where none matches, and where none is named: then with those that the runbook's pattern finds.
    Raises GitError.
    """
    root = project.layout.root
    if selection.commits:
        names = {_ancestor(project, name, base) for name in selection.commits}
        order = git_command.text(root, "rev-list", "--topo-order", base).split()
        return [_commit(project, name) for name in order if name in names]
    pattern = _pattern(project, selection)
    commits = _matching(project, selection, base, pattern)
    if selection.since:
        place = tr("since {ref}", ref=selection.since)
    else:
        place = tr("among the newest {count} commits", count=project.runbook.git.most)
    if not commits:
        raise Refused(
            tr("no commit {place} matches {pattern!r}", place=place, pattern=pattern.pattern),
            hint=tr("name the commits: atftctl rollback --git COMMIT..."),
        )
    if not (selection.since or selection.grep):
        raise _candidates(project, commits, pattern.pattern)
    return commits


def _pattern(project: Project, selection: CommitSelection) -> re.Pattern[str]:
    """Return the pattern of subjects; with `since` alone, one that matches all. Raises Refused."""
    default = "" if selection.since else project.runbook.git.pattern
    try:
        return re.compile(selection.grep or default, re.IGNORECASE)
    except re.error as error:
        raise Refused(
            tr("--grep {pattern!r} is not a regular expression: {reason}", pattern=selection.grep, reason=error)
        ) from None


def _matching(project: Project, selection: CommitSelection, base: str, pattern: re.Pattern[str]) -> list[Commit]:
    """Return the commits whose subject matches. Without `since`, those that are reverted already are left out."""
    root = project.layout.root
    revisions = [f"-{project.runbook.git.most}", base]
    if selection.since:
        revisions = [f"{_ancestor(project, selection.since, base)}..{base}"]
    log = git.commits(root, git_command.text(root, "rev-list", "--first-parent", *revisions, "--").split())
    settled = frozenset() if selection.since else _settled(log)
    return [
        _commit(project, commit.id) for commit in log if pattern.search(commit.subject) and commit.id not in settled
    ]


def _candidates(project: Project, commits: Sequence[Commit], pattern: str) -> Refused:
    """Return the error that lists the candidates with their files. Those that change files of the service are marked,
    and named in the hint; all are where none does."""
    service = [commit for commit in commits if touches_service(project.runbook, commit)]
    lines = []
    for commit in commits:
        mark = "service " if commit in service else "        "
        lines.append(
            trn(
                "{mark} {commit} {subject} ({count} file: {paths})",
                "{mark} {commit} {subject} ({count} files: {paths})",
                len(commit.files),
                mark=mark,
                commit=commit.id[:12],
                subject=commit.subject,
                paths=listed(commit.files, 4) or tr("none of this project"),
            )
        )
    names = " ".join(commit.id[:12] for commit in service or commits)
    return Refused(
        tr(
            "no commit is named; among the newest {count} commits these match {pattern!r}",
            count=project.runbook.git.most,
            pattern=pattern,
        ),
        lines=tuple(lines),
        hint=tr("atftctl rollback --git {commits}", commits=names),
    )


def _settled(log: Sequence[git.CommitText]) -> frozenset[str]:
    """Return the commits that a later one reverted, and those that reverted them; not those that an undo of atftctl
    brought back since. `log`: the newest first."""
    settled, until = set[str](), ""
    for commit in log:
        if until and not commit.id.startswith(until):
            settled.add(commit.id)
            continue
        until = ""
        if undone := UNDO.match(commit.subject):
            settled.add(commit.id)
            until = undone[1]
        elif commit.subject.startswith("Revert "):
            settled |= {commit.id, *REVERTED.findall(commit.body)}
    return frozenset(settled)


def _ancestor(project: Project, name: str, base: str) -> str:
    """Return the id of a commit of the branch. Raises Refused for any other."""
    root = project.layout.root
    try:
        commit = git.commit_of(root, name)
    except GitError:
        raise Refused(
            tr("{name!r} is not a commit", name=name), hint=tr("list the commits: git log --oneline")
        ) from None
    if not git.is_ancestor(root, commit, base):
        raise Refused(tr("{commit} is not in the branch that is checked out", commit=name))
    return commit


def _commit(project: Project, name: str) -> Commit:
    """Return a commit with the files that it changes, inside and outside of the project."""
    root = project.layout.root
    [commit] = git.commits(root, [name])
    top = git.prefix(root)
    paths = git.files_of(root, name)
    inside = tuple(path.removeprefix(top) for path in paths if path.startswith(top))
    outside = tuple(path for path in paths if not path.startswith(top))
    return Commit(name, commit.parents, commit.subject, inside, outside)
