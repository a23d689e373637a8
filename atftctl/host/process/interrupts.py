"""Ctrl-C, SIGTERM and a lost terminal, held back while a decided change is being carried out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Deferred:
    """Says whether an interrupt came while it was held back."""

    def __init__(self) -> None:
        self.interrupted = False

    def note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.interrupted = True


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Within the block an interrupt is only noted. Python handlers, not SIG_IGN: a child would inherit that."""
    held = Deferred()
    before = {number: signal.signal(number, held.note) for number in SIGNALS}
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def as_interrupt() -> None:
    """SIGTERM and SIGHUP unwind like Ctrl-C, instead of ending the process where it stands."""

    def raise_interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in SIGNALS[1:]:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, raise_interrupt)
