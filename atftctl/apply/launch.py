"""How the trainer is to be started, as the runbook has it now. No record on disk ever says more than from where it
resumes: a command comes from the runbook alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LaunchSpec:
    """The words of the command, from which checkpoint, and within which limits."""

    argv: tuple[str, ...]
    resume: str
    memory_limit_mb: int
    processes: int = 1


Launcher = Callable[[str], LaunchSpec | None]  # from where to resume → how; None where no trusted runbook says how


def no_launcher(resume: str) -> None:
    """Where the runbook can't be read, or is not trusted."""
    del resume
