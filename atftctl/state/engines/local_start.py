"""Start a trainer on this machine. One that writes no events gets a parent that writes down how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from atftctl.domain.launch import LaunchSpec
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.host import footprint
from atftctl.host.process import kept as keeping
from atftctl.host.process import spawn as spawning
from atftctl.host.process import table as procs
from atftctl.protocol.messages import tr
from atftctl.state import exits
from atftctl.state.layout import Layout


def start(
    layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path
) -> TrainerIdentity | None:
    """Start the command; return its process, None where it has ended. Raises HostError, OSError."""
    pid, who = _spawn(layout, launch, record, env, output)
    footprint.leave(tr("started the trainer (pid {pid})", pid=pid))
    return TrainerIdentity(who.pid, who.ticks, who.boot) if who else None


def _spawn(
    layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path
) -> tuple[int, procs.Identity | None]:
    limit_mb = launch.memory_limit_mb
    if not launch.ready:
        child = spawning.spawn(launch.argv, cwd=layout.root, env=env, output=output, memory_limit_mb=limit_mb)
        return child.pid, procs.identify(child.pid)
    who = keeping.spawn_kept(
        launch.argv,
        cwd=layout.root,
        env=env,
        output=output,
        exits=exits.prepare(layout, record.run_id),
        memory_limit_mb=limit_mb,
    )
    return who.pid, who
