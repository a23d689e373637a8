"""`make torture`: every failpoint, power losses, kills, pairs of operators; about an hour on two cores. Ends with 1 where
anything failed. `python -m tests.torture points|power|fsyncs|kills|real|pairs` runs one part."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.torture import crowd, points, power
from tests.torture.commands import COMMANDS, Command

SHARES = 2  # processes
DOUBLE_CRASHES = 10_000
OF_GIT = ("rollback git", "undo git")  # git's own files are git's; the model sees none of its writes


def home() -> str:
    """Memory is quick."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()


def of_power() -> list[Command]:
    return [one for one in COMMANDS if one.name not in OF_GIT]


def points_share(share: int) -> tuple[str, list[str]]:
    report = points.Report()
    with tempfile.TemporaryDirectory(dir=home()) as folder:
        points.run(COMMANDS[share::SHARES], Path(folder), report)
    return report.words(), report.failures


def power_share(share: int) -> tuple[str, list[str]]:
    losses = power.Losses()
    commands = of_power()
    each = DOUBLE_CRASHES * 10 // 9 // len(commands) // SHARES + 1
    with tempfile.TemporaryDirectory(dir=home()) as folder:
        for command in commands:
            command.make(Path(folder))
            power.sample(command, Path(folder), each, share, losses)
    return losses.words(), losses.failures


def fsyncs() -> tuple[str, list[str]]:
    """Take out each fsync in turn: which are noticed?"""
    commands = [one for one in of_power() if one.undoable or one.name.startswith("backup")]
    lines, unnoticed = [], []
    with tempfile.TemporaryDirectory(dir=home()) as folder:
        for command in commands:
            command.make(Path(folder))
        whole = power.Losses()
        for command in commands:
            power.sample(command, Path(folder), 1, 0, whole)
        for site in sorted(whole.sites):
            found = power.Losses()
            for command in commands:
                if not found.failures:
                    power.sample(command, Path(folder), 40, 1, found, site)
            lines.append(f"{'noticed' if found.failures else 'UNNOTICED'}: {site}")
            unnoticed += [] if found.failures else [site]
            print("  ", lines[-1], flush=True)
    return f"{len(lines)} fsyncs taken out, {len(unnoticed)} of them unnoticed (see DECISIONS.md)", []


def kills() -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        told = crowd.kills(Path(folder), 200, 1)
    return told.words("kills with the stand-in trainer"), told.failures


def real() -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        told = crowd.kills(Path(folder), 20, 2, real=True)
    return told.words("kills with the real trainer"), told.failures


def pairs() -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        told = crowd.pairs(Path(folder), 200, 1)
    return told.words("pairs of operators"), told.failures


PARTS: dict[str, Sequence[Callable[[], tuple[str, list[str]]]]] = {
    "points": [lambda: points_share(0), lambda: points_share(1)],
    "power": [lambda: power_share(0), lambda: power_share(1)],
    "fsyncs": [fsyncs],
    "kills": [kills],
    "real": [real],
    "pairs": [pairs],
}


def _one(part: str, number: int) -> tuple[str, list[str]]:
    return PARTS[part][number]()


def main() -> int:
    asked = sys.argv[1:] or list(PARTS)
    failed = False
    for part in asked:
        begun = time.monotonic()
        with ProcessPoolExecutor(len(PARTS[part])) as pool:
            for words, failures in pool.map(_one, [part] * len(PARTS[part]), range(len(PARTS[part]))):
                print(f"{part}: {words}", flush=True)
                for failure in failures[:50]:
                    print(f"    {failure}", flush=True)
                failed |= bool(failures)
        print(f"    {time.monotonic() - begun:.0f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
