"""Find the checkpoints of a project, and which of them the run in service came by."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from atftctl import protocol
from atftctl.domain.checkpoint import Checkpoint, Checkpoints, Content, Ladder, Save, ancestors
from atftctl.host.errors import HostError, reason
from atftctl.host.files.fingerprint import sha256_file
from atftctl.observe.checkpoints import patterns
from atftctl.observe.checkpoints.content import content_of
from atftctl.observe.checkpoints.same import is_copy
from atftctl.observe.metrics import runs
from atftctl.protocol import checkpoints as names
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

NEAR_S = 10.0  # between the time of a file and of the trainer's report of it
MOST = 1000  # entries of the history that are looked at, the newest names


def ladder(layout: Layout, rules: Checkpoints, *, hashed: bool = True) -> Ladder:
    """Return the checkpoints. What is no regular file and no folder is left out, with the reason.

    `hashed`: without it no checkpoint is read, however large it is; steps come from names and the times of reports.
    """
    given, (rules, earlier) = rules, patterns.resolved(layout, rules)
    saves, starts = tuple(_saves(layout.root)), tuple(runs.runs(layout.root))
    left_out: dict[str, str] = {}
    present: list[Checkpoint] = []
    for path in (rules.last, protocol.PREVIOUS, rules.best, *_history(layout, rules.history), *earlier):
        checkpoint = _look(layout, path, left_out)
        if checkpoint is not None:
            placed = _placed(layout, checkpoint, rules, saves, hashed=hashed)
            unnumbered = placed.step is None and path not in (given.last, given.best, protocol.PREVIOUS)
            present.append(replace(placed, step=names.step_in(placed.name)) if unnumbered else placed)
    last = next((checkpoint for checkpoint in present if checkpoint.path == rules.last), None)
    best = [checkpoint for checkpoint in present if checkpoint.path == rules.best and checkpoint is not last]
    named = [checkpoint for checkpoint in present if checkpoint is not last and checkpoint not in best]
    unique = {_place(checkpoint): checkpoint for checkpoint in named}  # of two names, the one in the history stays
    former = [checkpoint for checkpoint in unique.values() if not _is_same(checkpoint, last)]
    if hashed and last is not None and (twin := _twin(layout, last, former)):
        former.remove(twin)
        last = replace(last, step=last.step if twin.step is None else twin.step, generation=twin.generation)
    inodes = {checkpoint.identity for checkpoint in former}
    copies = [other for other in named if other not in former and other.identity not in inodes]
    if last is None:
        ordered = sorted(former, key=lambda checkpoint: checkpoint.saved, reverse=True)
        rungs = ordered[:1] + (ancestors(ordered[0], ordered[1:], starts) if ordered else [])
    else:
        rungs = [last, *ancestors(last, former, starts)]
    others = [
        checkpoint
        for checkpoint in (*best, *former)
        if checkpoint not in rungs and checkpoint.path != protocol.PREVIOUS
    ]
    return Ladder(tuple(rungs), tuple(others), tuple(copies), left_out, saves, starts)


def content(layout: Layout, checkpoint: Checkpoint, saves: Sequence[Save]) -> Content:
    """Read a checkpoint, and compare its hash with those that the trainer reported for its step. Raises
    FileNotFoundError where it was removed meanwhile, or replaced by another one."""
    known = {
        save.sha256
        for save in saves
        if checkpoint.generation and (save.step, save.generation) == (checkpoint.step, checkpoint.generation)
    }
    content = content_of(layout.root / checkpoint.path, known)
    if content.damage and not checkpoint.folder:
        facts = os.lstat(layout.root / checkpoint.path)
        if (facts.st_dev, facts.st_ino) != checkpoint.identity:
            raise FileNotFoundError(layout.root / checkpoint.path)
    return content


def _saves(root: Path) -> Iterator[Save]:
    """What the trainer reported of its checkpoints, the oldest first."""
    for event in runs.all_events(root):
        step, generation, digest = event.get("step"), event.get("generation"), event.get("sha256")
        if event["event"] == protocol.CHECKPOINT and type(step) is int and isinstance(digest, str):
            number = generation if type(generation) is int else 0
            yield Save(str(event.get("path", "")), digest, step, number, float(event["t"]))


def _history(layout: Layout, folder: str) -> list[str]:
    """The paths of everything in the folder of the history; hidden files, which may be unfinished, are not listed."""
    try:
        path = layout.place(f"{folder}/x").parent
        inside = sorted(name for name in os.listdir(path) if not name.startswith("."))  # noqa: PTH208 - names only
    except (OSError, HostError):
        return []
    return [f"{folder}/{name}" for name in inside[-MOST:]]


def _look(layout: Layout, path: str, left_out: dict[str, str]) -> Checkpoint | None:
    """What lies at a path; None where that is no checkpoint."""
    try:
        facts = os.lstat(layout.place(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, HostError) as error:
        left_out[path] = reason(error)
        return None
    if stat.S_ISLNK(facts.st_mode):
        left_out[path] = tr("it is a symlink")
    elif not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
        left_out[path] = tr("it is not a regular file")
    else:
        folder = stat.S_ISDIR(facts.st_mode)
        size = _folder_size(layout.root / path) if folder else facts.st_size
        step, generation = names.parse_history_name(path.rpartition("/")[2]) or (None, 0)
        inode = facts.st_dev, facts.st_ino
        return Checkpoint(path, size, facts.st_mtime, step, generation, inode, folder=folder)
    return None


def _folder_size(folder: Path) -> int:
    """The bytes in the files of a folder; what can't be seen counts as nothing."""
    size = 0
    for top, _, files in os.walk(folder):
        for name in files:
            try:
                size += os.lstat(f"{top}/{name}").st_size
            except OSError:
                continue
    return size


def _placed(
    layout: Layout, checkpoint: Checkpoint, rules: Checkpoints, saves: Sequence[Save], *, hashed: bool
) -> Checkpoint:
    """Return the checkpoint with its step and generation: by its name, else by the trainer's report of its hash. Of a
    damaged one only the step is known, from the report of that moment."""
    if checkpoint.step is not None:
        return checkpoint
    try:
        digest = "" if checkpoint.folder or not saves or not hashed else sha256_file(layout.root / checkpoint.path)
    except (OSError, HostError):
        digest = ""
    if save := next((save for save in reversed(saves) if digest and save.sha256 == digest), None):
        return replace(checkpoint, step=save.step, generation=save.generation)
    if checkpoint.path not in (rules.last, rules.best, protocol.PREVIOUS):
        return replace(checkpoint, step=names.step_in(checkpoint.name))
    times = {abs(save.time - checkpoint.saved): save for save in saves if save.path == checkpoint.path}
    nearest = min(times, default=NEAR_S)
    return replace(checkpoint, step=times[nearest].step) if nearest < NEAR_S else checkpoint


def _twin(layout: Layout, last: Checkpoint, former: Sequence[Checkpoint]) -> Checkpoint | None:
    """Where no report says when `last` was saved: the checkpoint of the history, the newest, that has the same content.
    A trainer that reports nothing, and an earlier rollback, leave such a last one."""
    if last.step is not None and last.generation:
        return None
    newest = sorted(former, key=lambda checkpoint: checkpoint.saved, reverse=True)
    return next((checkpoint for checkpoint in newest if is_copy(layout.root, last, checkpoint)), None)


def _place(checkpoint: Checkpoint) -> tuple[int, ...]:
    """What two names of one checkpoint, or copies of it, have in common."""
    if checkpoint.step is None or not checkpoint.generation:
        return checkpoint.identity
    return checkpoint.step, checkpoint.generation, 0


def _is_same(checkpoint: Checkpoint, last: Checkpoint | None) -> bool:
    """Is this the checkpoint that `last` is, under another name or as a copy of it?"""
    return last is not None and (checkpoint.identity == last.identity or _place(checkpoint) == _place(last))
