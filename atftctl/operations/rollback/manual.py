"""`rollback --full`: the manual rollback of the guide, in one operation."""

from __future__ import annotations

from dataclasses import replace

from atftctl.decide.plans import by_commits as decide
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.result import Part, Result
from atftctl.host.errors import reason
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
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

PROBE_STEPS = 5
OTHER_COMMIT = tr("name another commit with --ref")


def full(project: Project, ref: str, policy: RestartPolicy, request: Request) -> Result:
    """Remove the files of the improvements, restore code and settings, uninstall packages; then check that the baseline
    trains. `ref`: the commit to take files from; "" for that of the runbook. Raises Refused, and as `carry_out`."""
    rules = project.runbook.full
    removable, staying = packages.removable(rules.packages)
    try:
        commit, files, contents = _files(project, ref or rules.ref, filters=request.may_run_filters)
    except GitError as error:
        raise Refused(reason(error), hint=OTHER_COMMIT) from None
    change = Change(
        lambda facts: decide.taken_out(project.runbook, facts, files, commit, removable, staying, policy),
        digests_of=tuple(file.path for file in files),
        contents=contents,
    )
    result = carry_out_or_undo(project, change, policy, request)
    return result if request.dry_run or result.exit_code is not Exit.DONE else _with_probe(project, result, request)


def _files(project: Project, ref: str, *, filters: bool) -> tuple[str, tuple[decide.NewFile, ...], dict[str, bytes]]:
    """Return the commit, the files that are removed or restored, and the contents of the restored ones. Raises Refused
    for a file that is not in the commit, GitError."""
    root, rules = project.layout.root, project.runbook.full
    files, contents = [decide.NewFile(path, None) for path in rules.remove], {}
    commit = git.commit_of(root, ref) if rules.files else ""
    for path in rules.files:
        file = git.file_at(root, commit, path)
        if file is None:
            raise Refused(tr("{path} is not in {ref}", path=path, ref=ref), hint=OTHER_COMMIT)
        contents[path] = worktree.file_as_checked_out(root, commit, path, filters=filters)
        files.append(decide.NewFile(path, sha256_bytes(contents[path]), file[1], moded=not (root / path).exists()))
    return commit, tuple(files), contents


def _with_probe(project: Project, result: Result, request: Request) -> Result:
    """Return the result with a probe: the baseline takes a few real training steps in a scratch folder."""
    watch = Stopwatch(request.report)
    try:
        with watch.part("probes"):
            probe = probes.probe(project.layout, project.runbook, "memory", steps=PROBE_STEPS)
    except AtftError as error:
        return replace(
            result,
            exit_code=Exit.CHECK_FAILED,
            headline=tr(
                "{headline}; the baseline does not train: {reason}", headline=result.headline, reason=error.message
            ),
            contacts=project.contacts,
            lines=(*result.lines, tr("next: atftctl undo")),
        )
    line = tr(
        "the baseline trains: {steps} steps in a scratch folder, {memory:.0f} MB",
        steps=probe["steps"],
        memory=probe["rss_anon_mb"],
    )
    parts: tuple[Part, ...] = (*result.parts, *watch.parts)
    return replace(result, lines=(*result.lines, line), parts=parts, data=replace(result.change, probe=probe))
