"""`backup verify`: check snapshots for damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

from atftctl.domain.errors import UsageError
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.host import locks
from atftctl.host.errors import HostError, LockHeldError
from atftctl.host.files.folders import make_dirs
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import cp_copies, integrity
from atftctl.observe.snapshots.integrity import Copy, Findings
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr, trn
from atftctl.state import checked_copies


@record
class BackupVerifyData(Data):
    """Data of `backup verify`.

    problems: what is damaged, by snapshot (or by path, for a copy made by cp), with the reasons. snapshots: number of
    snapshots. copies: number of files on disk that the snapshots use. hashed: number of these files whose content was
    checked now.
    """

    problems: Mapping[str, tuple[str, ...]]
    snapshots: int
    copies: int
    hashed: int


def verify(
    project: Project, names: Sequence[str], request: Request, *, everything: bool = False, share: float = 0.0
) -> Result:
    """Check the structure of all snapshots, and the content of some copies.

    `names`: check all copies of these snapshots. `everything`: check all copies. `share`: check this share of their
    bytes, from 0 to 1. Otherwise: check the copies that were not checked within the runbook's span. Holds no lock while
    it reads: a rollback must not wait for it. Raises Refused or UsageError where a name names no snapshot.
    """
    layout, watch = project.layout, Stopwatch(request.report)
    snapshots, broken = observed.scan(layout)
    selected = {observed.find(layout, snapshots, name).id for name in names} or {snapshot.id for snapshot in snapshots}
    reliance = observed.reliance(layout, snapshots, project.runbook.backups.recheck_s)
    with watch.part("look"):
        structure = integrity.structure(layout, snapshots, reliance)
    copies = [copy for copy in structure.copies.values() if any(snapshot.id in selected for snapshot, _ in copy.users)]
    if share:
        chosen = integrity.sample(copies, share)
    else:
        at = now()
        chosen = [copy for copy in copies if everything or names or reliance.due(copy.checked, at)]
    with watch.part("hash"):
        request.report.expect(sum(copy.size for copy in chosen))
        whole = integrity.check(layout, chosen, structure, request.report.progress)
        made_by_cp = _damaged_cp_copies(project) if everything else {}
    _remember(project, chosen, request)
    remaining = {snapshot.id for snapshot in observed.list_snapshots(layout)}  # a prune may have removed some meanwhile
    damaged = {name: tuple(lines) for name, lines in structure.problems.items() if name in remaining}
    damaged |= {name: (why,) for name, why in broken.items()}
    data = BackupVerifyData(damaged | made_by_cp, len(snapshots), len(structure.copies), len(chosen))
    lines = [*_intact_elsewhere(chosen, whole), *_next(list(damaged), data)]
    return _result(project, structure, data, lines, watch)


def share_of(text: str) -> float:
    """Return 0.1 for "10%". Raises UsageError."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(tr("--sample {text!r}: give a percentage from 1% to 100%", text=text))
    return share


def _damaged_cp_copies(project: Project) -> dict[str, tuple[str, ...]]:
    """Return what is wrong with the copies made by cp, by path."""
    copies = cp_copies.find_cp_copies(project.layout, project.runbook.files)
    wrong = {copy.path: cp_copies.look_into(project.layout, copy)[1] for copy in copies}
    return {path: (why,) for path, why in wrong.items() if why}


def _remember(project: Project, hashed: Sequence[Copy], request: Request) -> None:
    """Record which copies are whole and which are damaged: the next snapshot and `backup prune` rely on it.

    Runs no recovery, since `backup verify` changes nothing else. Where it can't be recorded, a note is shown; nothing
    but time is lost.
    """
    layout = project.layout
    if not hashed:
        return
    at = now().astimezone(UTC).isoformat(timespec="microseconds")
    try:
        make_dirs(layout.state, 0o700)
        with locks.exclusive(layout.lock, command="backup verify", reason=""):
            checked = {copy.key: (copy.digest, at) for copy in hashed if copy.digest}
            checked_copies.remember_checked(layout, checked_copies.checked(layout) | checked)
    except (HostError, OSError) as error:
        why = tr("another operation is running") if isinstance(error, LockHeldError) else str(error)
        request.report.note(
            tr("could not record which copies were checked ({why}); the next backup verify checks them again", why=why)
        )


def _result(
    project: Project, structure: Findings, data: BackupVerifyData, lines: Sequence[Message], watch: Stopwatch
) -> Result:
    bad = len(data.problems)
    files = sum(len(copy.users) for copy in structure.copies.values())
    headline = tr(
        "{damage}: {snapshots}, {files} in {copies} on disk, content of {hashed} checked",
        damage=tr("{count:,} damaged", count=bad) if bad else tr("no damage found"),
        snapshots=trn("{count} snapshot", "{count} snapshots", data.snapshots),
        files=trn("{count} file", "{count} files", files),
        copies=trn("{count} copy", "{count} copies", data.copies),
        hashed=trn("{count} copy", "{count} copies", data.hashed),
    )
    problems = [joined(": ", (name, line)) for name, several in sorted(data.problems.items()) for line in several]
    return Result(
        "backup verify",
        Exit.CHECK_FAILED if bad else Exit.DONE,
        headline,
        lines=(*problems, *lines),
        data=data,
        parts=tuple(watch.parts),
        contacts=project.contacts if bad else (),
    )


def _next(damaged: Sequence[str], data: BackupVerifyData) -> list[Message]:
    """Say what to do about the damage; without damage, how to check the copies that were not checked."""
    if damaged:
        return [
            tr(
                "next: restore from an undamaged snapshot; to remove a damaged one: atftctl backup rm {id}",
                id=damaged[0],
            )
        ]
    if data.problems:
        return [tr("next: restore from an undamaged copy, and remove the damaged copies")]
    if not (left := data.copies - data.hashed):
        return []
    return [
        trn(
            "{count} copy was not checked now: --all checks every copy",
            "{count} copies were not checked now: --all checks every copy",
            left,
        )
    ]


def _intact_elsewhere(chosen: Sequence[Copy], whole: Sequence[Copy]) -> list[Message]:
    """For each damaged copy name an undamaged one of the same content, to restore from."""
    intact = {copy.users[0][1].sha256: copy for copy in reversed(whole)}
    good = {copy.key for copy in whole}
    others = (intact.get(copy.users[0][1].sha256) for copy in chosen if copy.key not in good)
    return [tr("an undamaged copy with the same content: {path}", path=copy.name) for copy in others if copy]
