"""Call a function at intervals of processor time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TICK_S = 0.05


@contextmanager
def cpu_ticks(tick: Callable[[float], None]) -> Iterator[None]:
    """During the block, call `tick` with the seconds of processor time that have passed, about every `TICK_S`. What it
    raises comes out of the code that is running then, also out of a search for a regular expression.

    Processor time, not time: a machine that is busy, or a stopped process, does not count. In a thread other than the
    main one signals can't be handled, and no tick comes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_tick(number: int, frame: FrameType | None) -> None:
        del number, frame
        tick(TICK_S)

    before = signal.signal(signal.SIGVTALRM, on_tick)
    signal.setitimer(signal.ITIMER_VIRTUAL, TICK_S, TICK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before if before is not None else signal.SIG_DFL)
