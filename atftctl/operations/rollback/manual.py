"""`rollback --full`: the guide's manual way back."""

from __future__ import annotations

from dataclasses import replace

from atftctl.decide.plans import by_commits as decide
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.result import Part, Result
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.git import facts as git
from atftctl.host.git import worktree
from atftctl.host.git.command import GitError
from atftctl.observe import packages
from atftctl.observe.trainer_run import probes
from atftctl.operations.change.change import Change
from atftctl.operations.project import Project
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.rollback.auto_undo import carry_out_or_undo
from atftctl.operations.rollback.commits import PROBE_STEPS
from atftctl.protocol import Exit


def full(project: Project, ref: str, wish: RestartPolicy, request: Request) -> Result:
    """The guide's manual way; then the baseline trains, shown by a probe."""
    rules = project.runbook.full
    removable, staying = packages.removable(rules.packages)
    try:
        commit, files, contents = _of_before(project, ref or rules.ref, filters=request.may_run_filters)
    except GitError as error:
        raise Refused(str(error), hint="--ref names another commit") from None
    change = Change(
        lambda facts: decide.taken_out(project.runbook, facts, files, commit, removable, staying, wish),
        digests_of=tuple(file.path for file in files),
        contents=contents,
    )
    done = carry_out_or_undo(project, change, wish, request)
    return done if request.dry_run or done.exit_code is not Exit.DONE else _trains(project, done, request)


def _of_before(
    project: Project, ref: str, *, filters: bool
) -> tuple[str, tuple[decide.NewFile, ...], dict[str, bytes]]:
    """The files that go, and those that come back from `ref`."""
    root, rules = project.layout.root, project.runbook.full
    files, contents = [decide.NewFile(path, None) for path in rules.remove], {}
    commit = git.commit_of(root, ref) if rules.files else ""
    for path in rules.files:
        found = git.file_at(root, commit, path)
        if found is None:
            raise Refused(f"{path} is not in {ref}", hint="--ref names another commit")
        contents[path] = worktree.file_as_checked_out(root, commit, path, filters=filters)
        files.append(decide.NewFile(path, sha256_bytes(contents[path]), found[1], moded=not (root / path).exists()))
    return commit, tuple(files), contents


def _trains(project: Project, done: Result, request: Request) -> Result:
    """What is left trains: a few real steps, in a scratch folder."""
    watch = Stopwatch(request.report)
    try:
        with watch.part("probes"):
            found = probes.probe(project.layout, project.runbook, "memory", steps=PROBE_STEPS)
    except AtftError as error:
        words = f"the baseline does not train: {error.message}"
        return replace(
            done, exit_code=Exit.CHECK_FAILED, headline=f"{done.headline}; {words}", contacts=project.contacts,
            lines=(*done.lines, "next: atftctl undo"),
        )  # fmt: skip
    words = f"the baseline trains: {found['steps']} steps in a scratch folder, {found['rss_anon_mb']:.0f} MB"
    parts: tuple[Part, ...] = (*done.parts, *watch.parts)
    return replace(done, lines=(*done.lines, words), parts=parts, data=replace(done.change, probe=found))
