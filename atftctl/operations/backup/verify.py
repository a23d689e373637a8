"""`backup verify`: are the snapshots still what they were?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from atftctl.domain.errors import UsageError
from atftctl.domain.result import Result
from atftctl.domain.snapshot import Snapshot
from atftctl.host import locks
from atftctl.host.errors import HostError, LockHeldError
from atftctl.host.files.folders import make_dirs
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import cp_copies, integrity
from atftctl.observe.snapshots.integrity import Copy, Findings
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.state import checked_copies


def verify(
    project: Project, words: Sequence[str], request: Request, *, everything: bool = False, share: float = 0.0
) -> Result:
    """Structure of all snapshots, and the hashes of: those that are named; or all copies; or a share of their bytes;
    or, asked for nothing, those that were not hashed within the runbook's span.

    Holds no lock while it reads: a rollback must not wait for it.
    """
    layout, watch = project.layout, Stopwatch(request.report)
    known, broken = observed.scan(layout)
    asked = [observed.find(layout, known, word) for word in words] or list(known)
    reliance = observed.reliance(layout, known, project.runbook.backups.recheck_s)
    with watch.part("look"):
        found = integrity.structure(layout, known, reliance)
    names = {one.id for one in asked}
    copies = [one for one in found.copies.values() if any(user.id in names for user, _ in one.users)]
    if share:
        chosen = integrity.sample(copies, share)
    else:
        at = now()
        chosen = [one for one in copies if everything or words or reliance.due(one.checked, at)]
    with watch.part("hash"):
        request.report.expect(sum(one.size for one in chosen))
        whole = integrity.check(layout, chosen, found, request.report.progress)
        made_by_cp = _handmade(project) if everything else {}
    _remember(project, chosen, request)
    still_there = {one.id for one in observed.list_snapshots(layout)}  # a prune may have taken some meanwhile
    problems = {name: lines for name, lines in found.problems.items() if name in still_there}
    problems |= {name: [why] for name, why in broken.items()} | made_by_cp
    return _result(project, known, found, chosen, whole, problems, watch)


def share_of(text: str) -> float:
    """0.1 of "10%". Raises UsageError."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample {text!r} is no share such as 10%")
    return share


def _handmade(project: Project) -> dict[str, list[str]]:
    looked = {
        one.path: cp_copies.look_into(project.layout, one)[1]
        for one in cp_copies.find_cp_copies(project.layout, project.runbook.files)
    }
    return {path: [wrong] for path, wrong in looked.items() if wrong}


def _remember(project: Project, hashed: Sequence[Copy], request: Request) -> None:
    """So that the next snapshot relies on the whole ones, and a prune on no damaged one. Recovers nothing, for which
    `verify` was not asked; where it can't be written that is said, and no more is lost than time."""
    layout = project.layout
    if not hashed:
        return
    at = now().astimezone(UTC).isoformat(timespec="microseconds")
    try:
        make_dirs(layout.state, 0o700)
        with locks.exclusive(layout.lock, command="backup verify", reason=""):
            found = {one.key: (one.digest, at) for one in hashed if one.digest}
            checked_copies.remember_checked(layout, checked_copies.checked(layout) | found)
    except (HostError, OSError) as error:
        why = "another operation is running" if isinstance(error, LockHeldError) else str(error)
        request.report.note(f"what was checked could not be written down ({why}); it will be checked again")


def _result(
    project: Project,
    known: Sequence[Snapshot],
    found: Findings,
    chosen: Sequence[Copy],
    whole: Sequence[Copy],
    problems: dict[str, list[str]],
    watch: Stopwatch,
) -> Result:
    bad, left = len(problems), len(found.copies) - len(chosen)
    shared = sum(len(one.users) for one in found.copies.values())
    many = "s" * (len(known) != 1)
    headline = (
        f"{f'{bad} damaged' if bad else 'no damage found'}: {len(known)} snapshot{many}, "
        f"{shared:,} files in {len(found.copies):,} copies, {len(chosen):,} hashed"
    )
    lines = [f"{name}: {line}" for name, several in sorted(problems.items()) for line in several]
    lines += _intact_elsewhere(chosen, whole)
    if bad:
        lines.append("next: restore from a whole one; atftctl backup rm takes a damaged one away")
    elif left:
        days = project.runbook.backups.recheck_days
        lines.append(f"{left:,} copies were hashed within {days:g} days: --all hashes all")
    return Result(
        "backup verify",
        Exit.CHECK_FAILED if bad else Exit.DONE,
        headline,
        lines=tuple(lines),
        data={
            "problems": problems,
            "snapshots": len(known),
            "copies": len(found.copies),
            "hashed": len(chosen),
        },
        parts=tuple(watch.parts),
        contacts=project.contacts if bad else (),
    )


def _intact_elsewhere(chosen: Sequence[Copy], whole: Sequence[Copy]) -> list[str]:
    """For each damaged copy another one of the same bytes, to restore from."""
    intact = {one.users[0][1].sha256: one for one in reversed(whole)}
    good = {one.key for one in whole}
    found = (intact.get(one.users[0][1].sha256) for one in chosen if one.key not in good)
    return [f"the same bytes are intact in {one.name}" for one in found if one]
