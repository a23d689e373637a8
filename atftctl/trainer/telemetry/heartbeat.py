"""A heartbeat file that names the current section of the run, and a watchdog that reports a section that does not end.

Evaluation and saving are sections with limits of their own, so that a long evaluation is not taken for a hang. The
watchdog only reports; it stops nothing.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atftctl import protocol
from atftctl.hooks.reporter import HEARTBEAT_S, HeartbeatFile
from atftctl.trainer.telemetry.recorder import Recorder

LIMITS_S = {"start": 1800.0, "evaluate": 1800.0, "save": 300.0, "reload": 1800.0}
STEP_FLOOR_S = 60.0
STEP_FACTOR = 5.0  # times the 99th percentile of the steps so far
STEPS_KEPT = 1000


class Heartbeat:
    """Call `beat` after each step, and use `section` around everything else.

    The file is written at most twice a second.

    `floor_s`: shortest limit of a step in seconds; `check_s`: seconds between two checks of the watchdog.
    """

    def __init__(self, root: Path, recorder: Recorder, *, floor_s: float = STEP_FLOOR_S, check_s: float = 1.0) -> None:
        self._file = HeartbeatFile(root / protocol.HEARTBEAT)
        self._recorder = recorder
        self._floor_s, self._check_s = floor_s, check_s
        self._section, self._since = "start", time.monotonic()
        self._seconds: deque[float] = deque(maxlen=STEPS_KEPT)
        self._written = 0.0
        self._reported = False
        self._stop = threading.Event()

    def __enter__(self) -> Heartbeat:
        self._write()
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def beat(self, seconds: float) -> None:
        """Record that a step is done, and how many seconds it took."""
        self._seconds.append(seconds)
        self._enter("step")

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Name what the run does now; `name` is a key of LIMITS_S. After it the outer section continues."""
        outer = self._section
        self._enter(name)
        try:
            yield
        finally:
            self._enter("step" if outer == "start" else outer)

    def limit_s(self) -> float:
        """Return how many seconds the current section may last."""
        if self._section in LIMITS_S:
            return LIMITS_S[self._section]
        steps = sorted(self._seconds)
        slowest = steps[int(0.99 * (len(steps) - 1))] if steps else 0.0
        return max(self._floor_s, STEP_FACTOR * slowest)

    def _enter(self, section: str) -> None:
        changed = section != self._section
        self._section, self._since = section, time.monotonic()
        if self._reported:
            self._reported = False
            self._recorder.warn("the section that was reported as hanging has ended; training goes on")
        if changed or self._since - self._written > HEARTBEAT_S:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._recorder.is_main:
            return
        self._file.write(self._recorder.run_id, self._section, self._recorder.step, self.limit_s())

    def _watch(self) -> None:
        while not self._stop.wait(self._check_s):
            waited, limit = time.monotonic() - self._since, self.limit_s()
            if waited > limit and not self._reported:
                self._reported = True
                self._recorder.event(protocol.HANG, section=self._section, seconds=waited, limit_s=limit)
                self._recorder.log.error(
                    "section %s has not ended for %.0f s; stacks of all threads follow", self._section, waited
                )
                if sys.__stderr__ is not None:
                    faulthandler.dump_traceback(sys.__stderr__)
