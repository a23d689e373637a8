"""What the runbook can name to run the trainer, and what people call what each of them runs."""

from __future__ import annotations

from typing import Literal

from atftctl.domain.slurm_rules import SlurmRules
from atftctl.protocol.messages import Message, tr

Placement = SlurmRules  # what an engine needs beside the command, under the name that everybody else uses

EngineName = Literal["local", "slurm"]
LOCAL: EngineName = "local"
ENGINES: tuple[EngineName, ...] = (LOCAL, "slurm")


def name_of(engine: str, number: int) -> Message:
    """What people call a trainer that this engine runs under this number."""
    return tr("pid {pid}", pid=number) if engine == LOCAL else tr("job {number}", number=number)


def stop_text(engine: str, name: str, grace_s: float) -> Message:
    """How a trainer is stopped."""
    if engine == LOCAL:
        return tr(
            "stop the trainer ({process}): SIGTERM, then SIGKILL after {grace_s:g} s", process=name, grace_s=grace_s
        )
    return tr(
        "stop the trainer ({process}): ask it to save and leave; cancel the job after {grace_s:g} s",
        process=name,
        grace_s=grace_s,
    )
