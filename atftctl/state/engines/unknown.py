"""A trainer whose record names an engine that this version does not know: it counts as running, somewhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from atftctl.domain.engines import Placement
from atftctl.domain.errors import InterventionNeeded
from atftctl.domain.facts import UnmanagedTrainer
from atftctl.domain.launch import LaunchSpec
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.host.errors import HostError
from atftctl.protocol.messages import Message, tr
from atftctl.state.engines.engine import Problem, Seen, StopOrder
from atftctl.state.exits import End
from atftctl.state.layout import Layout


class Unknown:
    """Answers for an engine of this name, as far as anything can be said."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def _text(self) -> Message:
        return tr("the engine {engine!r}, which this version of atftctl does not know", engine=self._name)

    def submit(
        self, layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path
    ) -> TrainerIdentity | None:
        del layout, launch, record, env, output
        raise HostError(tr("the trainer can't be started by {engine}", engine=self._text))

    def find(self, layout: Layout, record: ProcessRecord) -> TrainerIdentity | None:
        del layout
        return record.identity

    def members(self, layout: Layout, record: ProcessRecord) -> frozenset[int]:
        del layout, record
        return frozenset()

    def state(self, layout: Layout, record: ProcessRecord) -> Seen:
        del layout
        return Seen(main=record.identity, where=self._text)

    def waiting(self, layout: Layout, record: ProcessRecord) -> str:
        del layout, record
        return ""

    def is_running(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        del layout, record, who
        return True

    def may_stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        del layout, record, who
        return False

    def holds_us(self, who: TrainerIdentity) -> bool:
        del who
        return False

    def stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity, order: StopOrder) -> list[int]:
        del layout, record, who, order
        raise InterventionNeeded(
            tr("the trainer was started by {engine}, and can't be stopped by it", engine=self._text),
            state=tr("no file has changed; no second trainer was started"),
            hint=tr("use the version of atftctl that started the trainer"),
        )

    def read_exit(self, layout: Layout, record: ProcessRecord) -> End | None:
        del layout, record
        return None

    def by_hand(
        self, layout: Layout, record: ProcessRecord | None, processes: tuple[UnmanagedTrainer, ...]
    ) -> tuple[UnmanagedTrainer, ...]:
        del layout, record
        return processes

    def problem(self, root: Path, placement: Placement | None) -> Problem | None:
        del root, placement
        return Problem(self._text)
