"""How the trainer is to be started. The command comes from the runbook alone: records on disk only say from which
checkpoint the trainer resumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from atftctl.domain.engines import LOCAL, Placement
from atftctl.protocol import OUTPUT


@dataclass(frozen=True)
class LaunchSpec:
    """The trainer's command line, the checkpoint to resume from, and the limits. `env`: variables of its environment.
    `output`: the file of its output. `ready`: the kind of proof that its start is to give; "" for its first step."""

    argv: tuple[str, ...]
    resume: str
    memory_limit_mb: int
    processes: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    output: str = OUTPUT
    ready: str = ""
    engine: str = LOCAL
    placement: Placement | None = None  # what the engine needs beside that


Launcher = Callable[[str], LaunchSpec | None]  # by the checkpoint to resume from; None without a trusted runbook


def no_launcher(resume: str) -> None:
    """The launcher for a runbook that can't be read or is not trusted."""
    del resume
