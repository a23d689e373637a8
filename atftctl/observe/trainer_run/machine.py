"""Look at the kernel and at the checkpoints again and again: seldom, and where they may have changed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from atftctl.domain.diagnosis import Checkpoint, KernelSign
from atftctl.domain.facts import Process
from atftctl.domain.process_record import ProcessRecord
from atftctl.host.files.logs import real_path
from atftctl.observe import diagnosis as observed
from atftctl.observe.log_files.errors import started_at
from atftctl.state.layout import Layout

SELDOM_S, OFTEN_S = 300.0, 5.0  # between two looks at the kernel: while the trainer runs, and after its end
MOST_OFTEN = 6  # looks after its end: the kernel may write its message later than the trainer dies


class MachineWatcher:
    """What the kernel says of one run, and what its checkpoints are like. `problem`: why the kernel's log can't be
    read. `killed`: see `Observed`; so are `here` and `has_pids`, its `kernel_here` and `kernel_pids`."""

    def __init__(self, layout: Layout, models: Sequence[str]) -> None:
        self._layout, self._models = layout, tuple(models)
        self._record: ProcessRecord | None = None
        self._looked = self._checked = -SELDOM_S
        self._after_end = 0
        self._facts: tuple[object, ...] = ("not looked at yet",)
        self.kernel: tuple[KernelSign, ...] = ()
        self.problem = ""
        self.killed: bool | None = None
        self.here = self.has_pids = True
        self.checkpoints: tuple[Checkpoint, ...] = ()

    def look(self, process: Process, record: ProcessRecord) -> bool:
        """Look where it is time to; True where something is new. record: of the run; it is written again after the
        start."""
        before = len(self.kernel), self.killed, self.problem
        if record is not self._record:
            self._record, self._looked, self._after_end = record, -SELDOM_S, 0
            self.here, self.has_pids = observed.on_this_kernel(record), observed.has_pids_of_machine(record)
        self._look_at_kernel(process, record)
        return self._look_at_checkpoints() or before != (len(self.kernel), self.killed, self.problem)

    def _look_at_kernel(self, process: Process, record: ProcessRecord) -> None:
        now = time.monotonic()
        self._after_end = 0 if process.alive else self._after_end
        pause = SELDOM_S if process.alive or self._after_end > MOST_OFTEN else OFTEN_S
        if now - self._looked < pause and (process.alive or self._after_end):
            return
        self._looked, self._after_end = now, self._after_end + (not process.alive)
        self.kernel, self.problem = observed.kernel_signs(started_at(record) or 0.0)
        self.killed = observed.killed_for_memory(record)

    def _look_at_checkpoints(self) -> bool:
        now = time.monotonic()
        if now - self._checked < OFTEN_S:
            return False
        names = observed.checkpoint_files(self._layout, self._models)
        facts = tuple((name, *self._fact(name)) for name in names)
        self._checked, changed = now, facts != self._facts
        if changed:
            self._facts, self.checkpoints = facts, observed.checkpoints(self._layout, self._models)
        return changed

    def _fact(self, name: str) -> tuple[int, ...]:
        try:
            facts = real_path(self._layout.root, name).stat()
        except OSError:
            return ()
        return facts.st_ino, facts.st_size, facts.st_mtime_ns
