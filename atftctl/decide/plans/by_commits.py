"""Plans that change code: `rollback --git` reverts commits, `rollback --full` is the guide's manual way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atftctl.decide.plans.builder import RestartPolicy, assemble, stops_of
from atftctl.decide.plans.setting_changes import changes, targets_of
from atftctl.domain.code_steps import ChangePackages, MoveBranch, Package, RevertCommits
from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan, with_steps
from atftctl.domain.runbook import Runbook
from atftctl.domain.steps import Target
from atftctl.domain.text import listed
from atftctl.protocol.messages import tr, trn


@dataclass(frozen=True)
class NewFile:
    """A file as it is to be: its SHA-256, or None where it is to be removed."""

    path: str
    sha256: str | None
    mode: int = 0o644
    moded: bool = False  # its mode is to change too


def touches_service(runbook: Runbook, commit: Commit) -> bool:
    """Does a commit change files of the running service: `git.service` of the runbook, or else all files it names?"""
    named = (*runbook.files.of(""), *runbook.full.remove, *runbook.full.files)
    places = [place.rstrip("/") for place in runbook.git.service or named]
    return any(path == place or path.startswith(f"{place}/") for path in commit.files for place in places)


def candidates(
    runbook: Runbook,
    facts: Facts,
    commits: Sequence[Commit],
    base: str,
    policy: RestartPolicy,
    notes: tuple[str, ...] = (),
) -> Plan:
    """Return the plan that `--git --dry-run` shows: which commits would be reverted.

    Whether they can be is only known in a separate work tree, which a dry run does not create.
    """
    stops = stops_of(runbook, facts.process, policy) if policy.restart else ()
    notes += (tr("conflicts, hooks and the smoke check are tried in a separate work tree before anything changes"),)
    title = trn("revert {count} commit", "revert {count} commits, newest first", len(commits))
    return Plan("rollback", title, (RevertCommits(tuple(commits), base), *stops), notes=notes)


def reverted(
    runbook: Runbook,
    facts: Facts,
    commits: Sequence[Commit],
    move: CodeMove,
    files: Sequence[NewFile],
    policy: RestartPolicy,
    notes: tuple[str, ...] = (),
) -> Plan:
    """Return the plan that puts the files of reverted commits in place and moves the branch. Raises Refused."""
    subjects = listed([commit.subject for commit in commits], 3)
    plan = assemble(
        command="rollback",
        title=trn(
            "revert {count} commit: {subjects}", "revert {count} commits: {subjects}", len(commits), subjects=subjects
        ),
        runbook=runbook,
        facts=facts,
        targets=new_targets(facts, files, move.new),
        resume="last",
        policy=policy,
        notes=notes,
        about={"commits": ", ".join(commit.id[:12] for commit in commits)},
    )
    return with_steps(plan, first=(RevertCommits(tuple(commits), move.old),), after=(MoveBranch(move),))


def _require_no_config(runbook: Runbook, targets: Sequence[Target]) -> None:
    """Raises Refused where `full.files` names a config, whose settings `rollback --full` restores by key."""
    configs = [target.path for target in targets if target.path in runbook.files.configs]
    if configs:
        raise Refused(
            tr("full.files in the runbook names {path}, whose settings are restored one by one", path=configs[0]),
            hint=tr("remove {path} from full.files in the runbook", path=configs[0]),
        )


def taken_out(
    runbook: Runbook,
    facts: Facts,
    files: Sequence[NewFile],
    ref: str,
    packages: Sequence[Package],
    kept: Mapping[str, str],
    policy: RestartPolicy,
) -> Plan:
    """Return the plan of `rollback --full`, the guide's manual way.

    It removes the improvements' files, restores files from a git ref and settings to the baseline, and uninstalls
    packages. `kept`: packages that stay, with the reason. Raises Refused where nothing is left to do.
    """
    settings = targets_of(
        changes(runbook, facts.configs, runbook.immediate.settings), facts.configs, runbook.files.configs
    )
    code = new_targets(facts, files, ref)
    _require_no_config(runbook, code)
    notes = tuple(tr("{package} stays installed: {reason}", package=name, reason=why) for name, why in kept.items())
    plan = assemble(
        command="rollback",
        title=tr("full: remove the improvements' files, restore the earlier settings and code"),
        runbook=runbook,
        facts=facts,
        targets=(*settings, *code),
        resume=runbook.immediate.resume,
        policy=policy,
        minutes=runbook.full.minutes,
        notes=notes,
        about={"preset": "full"},
    )
    if not plan.targets and not packages:
        raise Refused(
            tr("nothing is left to roll back: files, settings and packages are as they were before the improvements")
        )
    return with_steps(plan, after=(ChangePackages(tuple(packages), away=True),) if packages else ())


def new_targets(facts: Facts, files: Sequence[NewFile], commit: str) -> tuple[Target, ...]:
    """Return a target for each file that is not yet as it is to be; files that are removed come last."""
    targets = []
    for file in sorted(files, key=lambda file: (file.sha256 is None, file.path)):
        old = facts.digests[file.path]
        if old == file.sha256 and not file.moded:
            continue
        target = Target(path=file.path, old=old)
        if file.sha256 is not None:
            target = replace(target, commit=commit, new=file.sha256, mode=file.mode, moded=file.moded)
        targets.append(target)
    return tuple(targets)
