"""`checkpoint list` and `checkpoint show`: these only look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime

from atftctl.domain.checkpoint import Checkpoint, Content, Grade, Graded, Ladder
from atftctl.domain.errors import UsageError
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.text import nearest
from atftctl.observe.checkpoints import ladder as ladders
from atftctl.observe.configs import digest, read_configs
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr, trn
from atftctl.state import grades

TRIES = 3  # looks, where a running trainer removes or replaces checkpoints meanwhile


@record
class CheckpointLine(Data):
    """One checkpoint.

    path: relative to the project. name: the last part of it. back: how many checkpoints it is behind the last one, as
    `rollback --back` counts; null for one that the present run did not come by. step: after which it was saved; null
    where that is not known. generation: of the trainer that saved it; 0 where that is not known. saved: when (ISO
    8601). bytes: its size. sha256: of the file; of a folder, over its files. grade: `whole`, `loads`, `steps` or
    `quality`; "" for none. damage: what is damaged. failed: the grade that it did not reach when it was measured.
    reason: why it did not reach it, or what was measured. measured: when (ISO 8601). current: it was measured with the
    present settings.
    """

    path: str
    name: str
    back: int | None
    step: int | None
    generation: int
    saved: str
    bytes: int
    sha256: str
    grade: str
    damage: str = ""
    failed: str = ""
    reason: str = ""
    measured: str = ""
    current: bool = True


@record
class CheckpointListData(Data):
    """Data of `checkpoint list`. checkpoints: the newest first; those of runs that were given up, and the best one,
    come last. left_out: what lies among them and is no checkpoint, with the reason."""

    checkpoints: tuple[CheckpointLine, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


@record
class CheckpointShowData(Data):
    """Data of `checkpoint show`. checkpoint: as in `checkpoint list`. grades: all that was measured of it, a line each.
    files: SHA-256 by path, of a checkpoint that is a folder."""

    checkpoint: CheckpointLine
    grades: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def list_all(project: Project) -> Result:
    """List the checkpoints, with the grades that are known. Nothing is measured but whether they are whole."""
    for _ in range(TRIES):
        ladder = ladders.ladder(project.layout, project.runbook.checkpoints)
        lines = tuple(line for checkpoint in ladder.all if (line := line_of(project, ladder, checkpoint)))
        if len(lines) == len(ladder.all):
            break
    headline = trn("{count} checkpoint", "{count} checkpoints", len(lines))
    return Result("checkpoint list", Exit.DONE, headline, data=CheckpointListData(lines, ladder.left_out))


def show(project: Project, name: str) -> Result:
    """Show one checkpoint. Raises UsageError for an unknown name."""
    ladder = ladders.ladder(project.layout, project.runbook.checkpoints)
    [checkpoint] = find(ladder, [name])
    line = line_of(project, ladder, checkpoint)
    if line is None:
        raise UsageError(tr("{path} was removed meanwhile", path=checkpoint.path))
    known = [graded for (sha256, _), graded in grades.read(project.layout).items() if sha256 == line.sha256]
    content = ladders.content(project.layout, checkpoint, ladder.saves)
    files = content.files if checkpoint.folder else {}
    data = CheckpointShowData(line, tuple(described(graded) for graded in known), files)
    return Result("checkpoint show", Exit.DONE, tr("checkpoint {path}", path=checkpoint.path), data=data)


def find(ladder: Ladder, names: Sequence[str]) -> list[Checkpoint]:
    """Return the checkpoints of these names: a path, its end, a step, how many it is back (the first column of the
    list), or the beginning of a path or name. Raises UsageError for one that there is not, and for the beginning of
    several."""
    chosen: list[Checkpoint] = []
    everything = (*ladder.all, *ladder.copies)
    for name in names:
        exact = [checkpoint for checkpoint in everything if f"/{checkpoint.path}".endswith(f"/{name}")]
        exact = exact or [checkpoint for checkpoint in ladder.all if name == str(checkpoint.step)]
        exact = exact or [checkpoint for back, checkpoint in enumerate(ladder.rungs) if name == str(back)]
        matches = exact or [
            checkpoint
            for checkpoint in ladder.all
            if checkpoint.path.startswith(name) or checkpoint.name.startswith(name)
        ]
        if not matches:
            known = [checkpoint.name for checkpoint in everything]
            raise UsageError(tr("there is no checkpoint {name!r}", name=name), hint=nearest(name, known))
        if len(matches) > 1 and not exact:
            raise UsageError(
                tr("{name!r} is the beginning of several checkpoints", name=name),
                hint=tr("list them: atftctl checkpoint list"),
            )
        chosen += matches[:1]
    return chosen


def line_of(project: Project, ladder: Ladder, checkpoint: Checkpoint, place: str = "") -> CheckpointLine | None:
    """Return the line of a checkpoint; None where it was removed meanwhile. `place`: the path to read it from, if it is
    held under another one."""
    try:
        content = ladders.content(project.layout, replace(checkpoint, path=place or checkpoint.path), ladder.saves)
    except FileNotFoundError:
        return None
    present = digest(read_configs(project.layout.root, project.runbook.files))
    graded = best_grade(grades.read(project.layout), content, present)
    grade: Grade = "" if content.damage else "whole" if content.proven else ""
    return CheckpointLine(
        path=checkpoint.path,
        name=checkpoint.name,
        back=ladder.rungs.index(checkpoint) if checkpoint in ladder.rungs else None,
        step=checkpoint.step,
        generation=checkpoint.generation,
        saved=datetime.fromtimestamp(checkpoint.saved, UTC).astimezone().isoformat(timespec="seconds"),
        bytes=checkpoint.size,
        sha256=content.sha256,
        grade=graded.grade if graded and not content.damage else grade,
        damage=content.damage,
        failed=graded.failed if graded else "",
        reason=graded.reason if graded else content.note,
        measured=graded.at if graded else "",
        current=graded is None or graded.config in ("", present),
    )


def best_grade(known: grades.Grades, content: Content, config: str) -> Graded | None:
    """Return what was measured with these settings, else what was measured last with others; None for nothing."""
    own = known.get((content.sha256, config))
    others = [graded for (sha256, _), graded in known.items() if sha256 == content.sha256]
    return own or (others[-1] if others else None)


def described(graded: Graded) -> str:
    """What was measured of a checkpoint, in a sentence."""
    when, config = graded.at.replace("T", " ")[:16], graded.config[:12]
    if graded.failed:
        return tr(
            "measured {time}: not of grade {failed}: {reason} (config {config})",
            time=when,
            failed=graded.failed,
            reason=graded.reason,
            config=config,
        )
    return tr("measured {time}: grade {grade} (config {config})", time=when, grade=graded.grade, config=config)
