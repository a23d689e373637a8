"""Find trainers of a project that were started by hand."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from atftctl.domain import command_line
from atftctl.domain.facts import UnmanagedTrainer
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import ErrorPattern
from atftctl.domain.runbook import TrainerRules
from atftctl.host.process import table as procs
from atftctl.host.process.cpu_ticks import cpu_ticks

STATE = ".atftctl"  # the folder that each project has in which atftctl was used


def trainers(root: Path, rules: TrainerRules, ours: Collection[int]) -> tuple[UnmanagedTrainer, ...]:
    """The trainers in the project's folder, or in a folder below it: some change there. `ours`: the pids of the
    recorded run, which are none of them. Command lines are written by anybody: where a pattern takes too long on one,
    trainers are known by the command of the runbook, too."""
    real = root.resolve()
    wanted = command_line.signature(rules.command, str(real))

    matcher = Matcher([ErrorPattern(pattern, pattern) for pattern in rules.patterns])

    def is_trainer(words: Sequence[str]) -> bool:
        if rules.patterns and matcher.kind(command_line.text(words, str(real))) is not None:
            return True
        return (not rules.patterns or bool(matcher.problems)) and command_line.runs(words, wanted, str(real))

    with cpu_ticks(matcher.tick):
        found = procs.find_command(is_trainer, lambda folder: _is_of(folder, real))
    return tuple(
        UnmanagedTrainer(
            trainer.pid,
            trainer.ticks,
            trainer.user,
            trainer.command,
            ours_to_signal=os.getuid() in (0, trainer.uid),
            place=procs.boot_id(),
        )
        for trainer in found
        if trainer.pid not in ours
    )


def _is_of(folder: Path, root: Path) -> bool:
    """Is this the project's folder, or one below it that belongs to no other project, such as a scratch copy?"""
    if folder == root:
        return True
    if not folder.is_relative_to(root):
        return False
    inner = (root.joinpath(*folder.relative_to(root).parts[:count]) for count in range(1, 1 + _depth(folder, root)))
    return not folder.is_relative_to(root / STATE) and not any((place / STATE).exists() for place in inner)


def _depth(folder: Path, root: Path) -> int:
    return len(folder.relative_to(root).parts)
