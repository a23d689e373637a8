"""Every mutating system call of every changing command is a failpoint."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.faults import KILLED, Faults, in_child
from tests.support.recovery import recover
from tests.torture.commands import Command, check, check_undo

KINDS: dict[str, tuple[str, int]] = {
    "kill before": ("before", 0),
    "kill after": ("after", 0),
    "EIO": ("error", errno.EIO),
    "ENOSPC": ("error", errno.ENOSPC),
    "short write": ("short", 0),
}
ALLOWED = (0, 1, 3, 4, 5, 99)  # 99: an OSError before anything began; the command line's boundary makes it exit 3


@dataclass
class Report:
    """Points are counted as (command, call, occurrence)."""

    points: int = 0
    trials: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def words(self) -> str:
        ends = ", ".join(f"{name} {count}" for name, count in sorted(self.ends.items()))
        return f"{self.points} failpoints, {self.trials} trials, {len(self.failures)} failures ({ends})"


def points_of(command: Command, folder: Path) -> list[str]:
    """The names of its calls, in order."""
    root = command.fresh(folder, "count")
    _, calls = in_child(lambda: command.act(root), Faults())
    shutil.rmtree(root)
    return calls


def trials(calls: Sequence[str]) -> Iterator[tuple[int, str]]:
    for at, name in enumerate(calls, 1):
        for kind in KINDS:
            if kind != "short write" or name == "write":
                yield at, kind


def strike(command: Command, folder: Path, at: int, kind: str, calls: Sequence[str], report: Report) -> None:
    """One trial: struck, recovered, checked, undone."""
    how, error = KINDS[kind]
    root = command.fresh(folder, f"{at}-{kind.replace(' ', '-')}")
    faults = Faults(at, error, how)  # type: ignore[arg-type]
    exit_code, seen = in_child(lambda: command.act(root), faults)
    report.trials += 1
    report.ends[f"{kind}: {'killed' if exit_code == KILLED else exit_code}"] += 1
    occurrence = Counter(calls[:at])[calls[at - 1]]
    where = f"{command.name}, {calls[at - 1]} {occurrence} (call {at}), {kind}, exit {exit_code}"
    hit = exit_code == KILLED if how in ("before", "after") else len(seen) >= at
    if not hit:
        report.failures.append(f"{where}: not hit")
    elif exit_code not in (KILLED, *ALLOWED):
        report.failures.append(f"{where}: an end that nobody promised")
    code, _ = in_child(lambda: recover(root))
    wrong = f"recover ends with {code}" if code else check(command, root, exit_code) or check_undo(command, root)
    if wrong:
        report.failures.append(f"{where}: {wrong}")
        return  # its folder stays, to be looked at
    shutil.rmtree(root)


def run(commands: Sequence[Command], folder: Path, report: Report, *, every: int = 1, first: int = 0) -> None:
    """All of them, or one in `every` (a different one for each command)."""
    for number, command in enumerate(commands):
        command.make(folder)
        calls = points_of(command, folder)
        report.points += len(calls)
        for index, (at, kind) in enumerate(trials(calls)):
            if (index + number + first) % every == 0:
                strike(command, folder, at, kind, calls, report)
        shutil.rmtree(command.template)
