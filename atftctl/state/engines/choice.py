"""Which engine runs a trainer: by the name in its record, or in the runbook."""

from __future__ import annotations

from atftctl.domain.engines import LOCAL
from atftctl.domain.process_record import ProcessRecord
from atftctl.state.engines.engine import Engine
from atftctl.state.engines.local import Local


def engine_of(record: ProcessRecord | None) -> Engine:
    """The engine that runs the recorded trainer."""
    return named(record.engine if record else LOCAL)


def named(name: str) -> Engine:
    """The engine of this name. Raises HostError for a name that this version does not know."""
    if name == LOCAL:
        return Local()
    if name == "slurm":
        from atftctl.state.engines.slurm import Slurm  # most projects have no job

        return Slurm()
    from atftctl.state.engines.unknown import Unknown

    return Unknown(name)
