"""The errors that end a run."""

from __future__ import annotations

from atftctl.protocol import TrainerExit


class Ended(Exception):  # noqa: N818 - an end that was meant, not an error
    """The run is over; `reason` goes into the last event. Raised by all processes, or by the only one."""

    def __init__(self, code: TrainerExit, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class CheckpointError(Exception):
    """A checkpoint that can't be taken up; the message names the file."""


class DamagedError(CheckpointError):
    """Its bytes are not what was saved. Only this moves a file aside: what could not be read now, for want of memory or
    rights, is whole."""


class WorkerLostError(Exception):
    """Another process of this run is gone: the run can't go on."""


class SettingsError(Exception):
    """A config that can't be trained with; the message names the key and what it may be."""


class DataError(Exception):
    """A panel that can't be trained on; the message names file, row and column."""
