"""Delay Ctrl-C, SIGTERM and SIGHUP while a change that is decided is carried out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Deferred:
    """Notes whether an interrupt came during the block of `deferred`."""

    def __init__(self) -> None:
        self.interrupted = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal handler during the block."""
        del number, frame
        self.interrupted = True


@contextmanager
def deferred() -> Iterator[Deferred]:
    """During the block an interrupt is only noted. This uses handlers, not SIG_IGN, which a child would inherit."""
    held = Deferred()
    before = {number: signal.signal(number, held.note) for number in SIGNALS}
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def as_interrupt() -> None:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, instead of ending the process at once."""

    def raise_interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in SIGNALS[1:]:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, raise_interrupt)
