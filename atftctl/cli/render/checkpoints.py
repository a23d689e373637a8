"""Checkpoints."""

from __future__ import annotations

import sys

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import say
from atftctl.cli.render.tables import show_fields, show_table
from atftctl.domain.result import Result
from atftctl.domain.text import moment, size_text
from atftctl.operations.checkpoint.report import CheckpointLine, CheckpointListData, CheckpointShowData
from atftctl.protocol.messages import tr


def checkpoints(result: Result) -> None:
    """One row a checkpoint, the newest first; then what was left out."""
    data = result.data
    assert isinstance(data, CheckpointListData)
    names = [line.name for line in data.checkpoints]
    short = sys.stdout.isatty() and len(set(names)) == len(names)
    rows = [
        (
            "" if line.back is None else str(line.back),
            "?" if line.step is None else str(line.step),
            age(line.saved),
            _grade(line),
            size_text(line.bytes),
            str(line.generation or "?"),
            line.name if short else line.path,
        )
        for line in data.checkpoints
    ]
    if rows:
        show_table((tr("back"), tr("step"), tr("saved"), tr("grade"), tr("size"), tr("gen."), tr("name")), rows)
    else:
        say(tr("there is no checkpoint yet"))
    for line in data.checkpoints:
        if line.damage:
            say(tr("{path}: {damage}", path=line.path, damage=line.damage), "bad", lead="  ", hang=4)
        elif line.failed:
            say(tr("{path}: not {grade}: {reason}", path=line.path, grade=line.failed, reason=line.reason), "warn",
                lead="  ", hang=4)  # fmt: skip
    for path, why in data.left_out.items():
        say(tr("left out: {path}: {reason}", path=path, reason=why), "quiet", lead="  ", hang=4)


def _grade(line: CheckpointLine) -> str:
    """The grade in a word; in parentheses one that was measured with other settings."""
    if line.damage:
        return tr("DAMAGED")
    grade = line.grade or "?"
    return grade if line.current else f"({grade})"


def checkpoint(result: Result) -> None:
    """What is known of one checkpoint."""
    data = result.data
    assert isinstance(data, CheckpointShowData)
    line = data.checkpoint
    say(result.headline, "strong")
    show_fields(
        [
            (tr("step"), "" if line.step is None else str(line.step)),
            (tr("back"), "" if line.back is None else str(line.back)),
            (tr("saved"), tr("{time} ({age})", time=moment(line.saved), age=age(line.saved))),
            (tr("generation"), str(line.generation or "")),
            (tr("size"), size_text(line.bytes)),
            (tr("SHA-256"), line.sha256),
            (tr("grade"), _grade(line)),
            (tr("damage"), line.damage),
        ]
    )
    for text in data.grades:
        say(text, lead="  ", hang=4)
    for path, digest in data.files.items():
        say(path, lead=f"  {digest[:12]}  ")
