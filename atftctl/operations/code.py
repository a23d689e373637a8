"""`rollback --git` and `rollback --full`: the ways back that touch code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atftctl.apply import commits as kept_commits
from atftctl.apply.process import command
from atftctl.decide import code as decide
from atftctl.decide.assemble import Wish
from atftctl.domain.code import CodeMove, Commit
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Part, Result
from atftctl.host import worktree
from atftctl.host.command import run
from atftctl.host.files import sha256_bytes
from atftctl.host.worktree import GitError
from atftctl.observe import packages, probes
from atftctl.operations import branch
from atftctl.operations.change import carry_out, locked
from atftctl.operations.or_undo import or_undone
from atftctl.operations.project import Project, observe
from atftctl.operations.request import Request, Stopwatch, dry_run, yes
from atftctl.protocol import Exit

PROBE_STEPS = 5


@dataclass(frozen=True)
class Asked:
    """Which commits: by name, all after a reference, or by their subjects."""

    commits: tuple[str, ...] = ()
    since: str = ""
    grep: str = ""
    push: bool = False


@dataclass(frozen=True)
class Reverted:
    """What came of it in the work tree: where the branch would go, and the files on the way."""

    move: CodeMove
    files: tuple[decide.NewFile, ...]
    contents: Mapping[str, bytes]


def revert(project: Project, asked: Asked, wish: Wish, request: Request) -> Result:
    """Raises Refused, and nothing has moved, for whatever git, a hook or the smoke check says no to."""
    if not request.dry_run:
        with locked(project.layout, "rollback --git", request):
            pass  # what a crash left open comes first: the tree may be half of two
    try:
        base = branch.may_move(project)
        chosen = _chosen(project, asked, base)
        plan = decide.candidates(project.runbook, observe(project), chosen, base, wish)
        request.seen(plan, ())
        if request.dry_run:
            return dry_run(plan)
        watch = Stopwatch(request.report)
        found = _in_worktree(project, chosen, base, request, watch)
    except GitError as error:
        raise Refused(str(error), then="git status; git log --oneline") from None
    paths = [file.path for file in found.files]

    def look() -> Facts:
        if branch.may_move(project) != base:
            raise Refused("the branch has moved meanwhile", then="look at it again, and run it again")
        return observe(project, paths)

    def plan_of(facts: Facts) -> Plan:
        return decide.reverted(project.runbook, facts, chosen, found.move, found.files, wish)

    def act(how: Request) -> Result:
        return carry_out(project, look, plan_of, replace(how, seen=yes), found.contents)

    done = or_undone(project, act, wish, request)
    done = replace(done, parts=(*watch.parts, *done.parts))
    return _push(project, done, found.move, request) if asked.push and done.exit_code is Exit.DONE else done


def _chosen(project: Project, asked: Asked, base: str) -> list[Commit]:
    """Newest first. Raises Refused where none is named, with those that the guide's pattern finds."""
    root, rules = project.layout.root, project.runbook.git
    if asked.commits:
        names = {_ancestor(project, word, base) for word in asked.commits}
        order = worktree.git(root, "rev-list", "--topo-order", base).split()
        return [_commit(project, name) for name in order if name in names]
    words = (f"{_ancestor(project, asked.since, base)}..{base}",) if asked.since else (f"-{rules.most}", base)
    try:
        pattern = re.compile(asked.grep or ("" if asked.since else rules.pattern), re.IGNORECASE)
    except re.error as error:
        raise Refused(f"--grep {asked.grep!r} is no pattern: {error}") from None
    log = worktree.log(root, "--first-parent", *words)
    settled = frozenset() if asked.since else _settled(log)
    names = {name for name, _, subject, _ in log if pattern.search(subject) and name not in settled}
    found = [_commit(project, name) for name, *_ in log if name in names]
    where = f"since {asked.since}" if asked.since else f"among the newest {rules.most}"
    if not found:
        raise Refused(f"no commit {where} matches {pattern.pattern!r}", then="name them: rollback --git COMMIT…")
    if not (asked.since or asked.grep):
        lines = "; ".join(f"{one.id[:12]} {one.subject} ({len(one.files)} files)" for one in found)
        names_ = " ".join(one.id[:12] for one in found)
        raise Refused(
            f"which commits? {where} these match {pattern.pattern!r}: {lines}", then=f"rollback --git {names_}"
        )
    return found


def _settled(log: Sequence[tuple[str, tuple[str, ...], str, str]]) -> frozenset[str]:
    """Commits that a later one took back, and those that took them; but for what an undo of ours brought back since."""
    found, until = set[str](), ""
    for name, _, subject, body in log:
        if until and not name.startswith(until):
            found.add(name)
            continue
        until = ""
        if undone := re.match(r"Undo \S+: back to what ([0-9a-f]+) held", subject):
            found.add(name)
            until = undone[1]
        elif subject.startswith("Revert "):
            found |= {name, *re.findall(r"This reverts commit ([0-9a-f]{40})", body)}
    return frozenset(found)


def _ancestor(project: Project, word: str, base: str) -> str:
    root = project.layout.root
    try:
        name = worktree.commit_of(root, word)
    except GitError:
        raise Refused(f"{word!r} is no commit", then="git log --oneline shows them") from None
    if not worktree.is_ancestor(root, name, base):
        raise Refused(f"{word} is not in the branch that is checked out")
    return name


def _commit(project: Project, name: str) -> Commit:
    root = project.layout.root
    _, parents, subject, _ = worktree.log(root, "-1", name)[0]
    top = worktree.prefix(root)
    files = worktree.files_of(root, name)
    inside = tuple(one.removeprefix(top) for one in files if one.startswith(top))
    return Commit(name, parents, subject, inside, tuple(one for one in files if not one.startswith(top)))


def _in_worktree(project: Project, chosen: Sequence[Commit], base: str, request: Request, watch: Stopwatch) -> Reverted:
    """Revert, check, read the files; the work tree goes again. Raises Refused, GitError."""
    layout = project.layout
    if strays := [path for one in chosen for path in one.outside]:
        raise Refused(f"{strays[0]} is outside of the project, and one of these commits changes it")
    with locked(layout, "rollback --git", request):
        name = kept_commits.new_worktree(layout, base)
    folder = layout.worktrees / name
    try:
        with watch.part("revert"):
            for one in chosen:
                try:
                    worktree.revert(folder, one.id, merge=one.merge)
                except GitError as error:
                    raise Refused(
                        f"{one.id[:12]} ({one.subject}) can't be taken back: {error}",
                        then="name the later commits that build on it too, or --since",
                    ) from None
        new = worktree.commit_of(folder, "HEAD")
        with watch.part("smoke check"):
            _smoke(project, name)
        return _read(project, CodeMove(worktree.branch(layout.root), base, new))
    finally:
        kept_commits.drop_worktree(layout, name)


def _smoke(project: Project, name: str) -> None:
    """Raises Refused where the reverted code does not run."""
    rules, root = project.runbook.git, project.layout.root
    if not rules.smoke:
        return
    folder = project.layout.worktrees / name / worktree.prefix(root)
    argv = command(rules.smoke, python=sys.executable)
    done = run(argv, cwd=folder, env=probes.environment(folder), limit_s=rules.smoke_limit_s)
    if done.code != 0:
        last = [line for line in done.output.splitlines() if line.strip()][-1:] or ["it said nothing"]
        raise Refused(f"the smoke check fails with these commits taken back (exit {done.code}): {last[0][:300]}")


def _read(project: Project, move: CodeMove) -> Reverted:
    """The files between the two commits, as a checkout has them."""
    root = project.layout.root
    files, contents = [], {}
    changed = worktree.changed_files(root, move.old, move.new, relative=worktree.prefix(root))
    if unseen := worktree.hidden(root, [path for path, *_ in changed]):
        raise Refused(f"git was told not to see changes of {unseen[0]}", then="git update-index --no-skip-worktree")
    for path, old, new in changed:
        if {old, new} & {worktree.SYMLINK, worktree.MODULE}:
            raise Refused(f"{path} is a symlink or a submodule: git revert it by hand")
        if old == worktree.NONE and os.path.lexists(root / path):
            raise Refused(f"{path} would come back, and a file that git does not know stands there")
        found = None if new == worktree.NONE else worktree.file_at(root, move.new, path)
        if found is None:
            files.append(decide.NewFile(path, None))
            continue
        contents[path], mode = found
        files.append(decide.NewFile(path, sha256_bytes(contents[path]), mode, moded=old != new))
    if not files:
        raise Refused("with these commits taken back nothing is another")
    return Reverted(move, tuple(files), contents)


def _push(project: Project, done: Result, move: CodeMove, request: Request) -> Result:
    """Only what `verify` passes is pushed; never forced. What was done stands in any case."""
    from atftctl.operations.verify import verify

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
    return replace(done, lines=(*done.lines, words), data={**done.data, "pushed": True})


def full(project: Project, ref: str, wish: Wish, request: Request) -> Result:
    """The guide's manual way; then the baseline trains, shown by a probe."""
    rules = project.runbook.full
    removable, staying = packages.removable(rules.packages)
    try:
        commit, files, contents = _of_before(project, ref or rules.ref)
    except GitError as error:
        raise Refused(str(error), then="--ref names another commit") from None
    paths = [file.path for file in files]

    def plan_of(facts: Facts) -> Plan:
        return decide.taken_out(project.runbook, facts, files, commit, removable, staying, wish)

    def act(how: Request) -> Result:
        return carry_out(project, lambda: observe(project, paths), plan_of, how, contents)

    done = or_undone(project, act, wish, request)
    return done if request.dry_run or done.exit_code is not Exit.DONE else _trains(project, done, request)


def _of_before(project: Project, ref: str) -> tuple[str, tuple[decide.NewFile, ...], dict[str, bytes]]:
    """The files that go, and those that come back from `ref`."""
    root, rules = project.layout.root, project.runbook.full
    files, contents = [decide.NewFile(path, None) for path in rules.remove], {}
    commit = worktree.commit_of(root, ref) if rules.files else ""
    for path in rules.files:
        found = worktree.file_at(root, commit, path)
        if found is None:
            raise Refused(f"{path} is not in {ref}", then="--ref names another commit")
        contents[path], mode = found
        files.append(decide.NewFile(path, sha256_bytes(contents[path]), mode, moded=not (root / path).exists()))
    return commit, tuple(files), contents


def _trains(project: Project, done: Result, request: Request) -> Result:
    """What is left trains: a few real steps, in a scratch folder."""
    watch = Stopwatch(request.report)
    try:
        with watch.part("probes"):
            found = probes.probe(project.layout, project.runbook, "memory", steps=PROBE_STEPS)
    except AtftError as error:
        words = f"the baseline does not train: {error.what}"
        return replace(
            done, exit_code=Exit.CHECK_FAILED, headline=f"{done.headline}; {words}", contacts=project.contacts,
            lines=(*done.lines, "next: atftctl undo"),
        )  # fmt: skip
    words = f"the baseline trains: {found['steps']} steps in a scratch folder, {found['rss_anon_mb']:.0f} MB"
    parts: tuple[Part, ...] = (*done.parts, *watch.parts)
    return replace(done, lines=(*done.lines, words), parts=parts, data={**done.data, "probe": found})
