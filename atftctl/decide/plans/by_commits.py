"""The ways back that touch code: commits taken back, and the guide's manual way. Pure functions to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from atftctl.decide.plans.builder import RestartPolicy, assemble, stops_of
from atftctl.decide.plans.setting_changes import changes, targets
from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan, with_steps
from atftctl.domain.runbook import Runbook
from atftctl.domain.steps import ChangePackages, MoveBranch, Package, RevertCommits, Target
from atftctl.domain.text import listed


@dataclass(frozen=True)
class NewFile:
    """One file as it is to stand, by its SHA-256; gone where that is None."""

    path: str
    sha256: str | None
    mode: int = 0o644
    moded: bool = False  # its mode changes too


def touches_service(runbook: Runbook, commit: Commit) -> bool:
    """Does it change what the running service is made of? By `git.service` of the runbook; where that is empty, by the
    files that the runbook names."""
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
    """What `--git --dry-run` shows: what would be taken back. Whether it can be is found out in a work tree beside the
    project's, which a dry run does not make."""
    stops = stops_of(runbook, facts.process, policy) if policy.restart else ()
    notes += ("conflicts, hooks and the smoke check are looked at in a work tree of its own before anything moves",)
    return Plan(
        "rollback", _title(commits, ", newest first"), (RevertCommits(tuple(commits), base), *stops), notes=notes
    )


def _title(commits: Sequence[Commit], more: str) -> str:
    return f"{len(commits)} commit{'s' * (len(commits) > 1)} taken back{more}"


def reverted(
    runbook: Runbook,
    facts: Facts,
    commits: Sequence[Commit],
    move: CodeMove,
    files: Sequence[NewFile],
    policy: RestartPolicy,
    notes: tuple[str, ...] = (),
) -> Plan:
    """Raises Refused where a file that git does not know stands in the way."""
    found = new_targets(facts, files, move.new)
    plan = assemble(
        command="rollback",
        title=_title(commits, ": " + listed([one.subject for one in commits], 3)),
        runbook=runbook,
        facts=facts,
        targets=found,
        resume="last",
        policy=policy,
        notes=notes,
        about={"commits": ", ".join(one.id[:12] for one in commits)},
    )
    return with_steps(plan, first=(RevertCommits(tuple(commits), move.old),), after=(MoveBranch(move),))


def taken_out(
    runbook: Runbook,
    facts: Facts,
    files: Sequence[NewFile],
    ref: str,
    packages: Sequence[Package],
    kept: Mapping[str, str],
    policy: RestartPolicy,
) -> Plan:
    """The guide's manual way: files out, files back to a ref, settings to the baseline, packages away. `kept`: packages
    that stay, and who requires them."""
    settings = targets(
        changes(runbook, facts.configs, runbook.immediate.settings), facts.configs, runbook.files.configs
    )
    code = new_targets(facts, files, ref)
    both = [target.path for target in code if target.path in runbook.files.configs]
    if both:
        raise Refused(
            f"full.files names {both[0]}, whose settings go back key by key", hint="take it out of full.files"
        )
    notes = tuple(f"{name} stays: {why}" for name, why in kept.items())
    plan = assemble(
        command="rollback",
        title="in full: the improvements' files out, the settings and code of before",
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
        raise Refused("nothing is left to take out: files, settings and packages are as before the improvements")
    return with_steps(plan, after=(ChangePackages(tuple(packages), away=True),) if packages else ())


def new_targets(facts: Facts, files: Sequence[NewFile], commit: str) -> tuple[Target, ...]:
    """Files that stand as they are to are left alone; those that go, go last."""
    found = []
    for file in sorted(files, key=lambda one: (one.sha256 is None, one.path)):
        old = facts.digests[file.path]
        if old == file.sha256 and not file.moded:
            continue
        target = Target(path=file.path, old=old)
        if file.sha256 is not None:
            target = replace(target, commit=commit, new=file.sha256, mode=file.mode, moded=file.moded)
        found.append(target)
    return tuple(found)
