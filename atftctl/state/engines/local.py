"""The trainer as a process of this machine: known by its pid and start time, and by the mark in its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from atftctl.domain.engines import Placement
from atftctl.domain.facts import UnmanagedTrainer
from atftctl.domain.launch import LaunchSpec
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.protocol.messages import tr
from atftctl.state import exits
from atftctl.state.engines.engine import Problem, Seen, StopOrder
from atftctl.state.layout import Layout
from atftctl.state.process_record import marker

# What only a start or a stop needs is imported there: `status` does not wait for it.


class Local:
    """Runs the trainer on this machine."""

    def submit(
        self, layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path
    ) -> TrainerIdentity | None:
        from atftctl.state.engines import local_start

        return local_start.start(layout, launch, record, env, output)

    def find(self, layout: Layout, record: ProcessRecord) -> TrainerIdentity | None:
        """A process is found by the marker in its environment where its pid was never recorded (a crash came between
        the start and the record), or where a launcher has put the trainer into the background and ended."""
        main, uid = process_of(record.identity), rights.uid_of(layout.root)
        if record.pid and procs.alive(main) and uid in (None, procs.uid_of(main)):
            return record.identity
        if record.pid and not record.detached:
            return None
        marked = procs.find_marked(marker(record), uid)
        return identity_of(marked) if marked else None

    def members(self, layout: Layout, record: ProcessRecord) -> frozenset[int]:
        main = process_of(self.find(layout, record) or record.identity)
        members = procs.members(main, marker(record), rights.uid_of(layout.root))
        return frozenset(member.pid for member in members)

    def state(self, layout: Layout, record: ProcessRecord) -> Seen:
        main, pids = self.find(layout, record), self.members(layout, record)
        memory_mb = sum(filter(None, map(procs.anonymous_mb, pids))) if main else None
        return Seen(main, pids, left=frozenset() if main else pids, where=_elsewhere(record), memory_mb=memory_mb)

    def waiting(self, layout: Layout, record: ProcessRecord) -> str:
        del layout, record
        return ""

    def is_running(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        del layout, record
        return procs.alive(process_of(who))

    def may_stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        """It must be the recorded process or carry the run's marker; where root works in a user's project, it must run
        as that user."""
        process, uid = process_of(who), rights.uid_of(layout.root)
        if record is None or procs.is_above_us(process) or uid not in (None, procs.uid_of(process)):
            return False
        return process == process_of(record.identity) or procs.carries(process, marker(record))

    def holds_us(self, who: TrainerIdentity) -> bool:
        return procs.is_above_us(process_of(who))

    def stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity, order: StopOrder) -> list[int]:
        from atftctl.state.engines import local_stop

        if self.holds_us(who):
            raise local_stop.refuse_above(who.pid)
        if not order.adopted and self.is_running(layout, record, who) and not self.may_stop(layout, record, who):
            raise local_stop.another_process(who.pid)
        return local_stop.stop(layout, record, process_of(who), order)

    def read_exit(self, layout: Layout, record: ProcessRecord) -> exits.End | None:
        return exits.of_trainer(layout, record)

    def by_hand(
        self, layout: Layout, record: ProcessRecord | None, processes: tuple[UnmanagedTrainer, ...]
    ) -> tuple[UnmanagedTrainer, ...]:
        del layout, record
        return processes

    def problem(self, root: Path, placement: Placement | None) -> Problem | None:
        del root, placement
        return None


def process_of(who: TrainerIdentity) -> procs.Identity:
    """The process that this identity means."""
    return procs.Identity(who.pid, who.ticks, who.boot)


def identity_of(process: procs.Identity) -> TrainerIdentity:
    """The identity of a process."""
    return TrainerIdentity(process.pid, process.ticks, process.boot)


def _elsewhere(record: ProcessRecord) -> str:
    """The other machine or container that the trainer was started on, where its pid is valid; "" for this one."""
    host, namespace = procs.host_and_namespace()
    if record.host in ("", host) and (record.boot != procs.boot_id() or record.namespace in ("", namespace)):
        return ""
    return record.host if record.host != host else tr("another container on {host}", host=host)
