"""The errors that end a run."""

from __future__ import annotations

from atftctl.hooks.reporter import FencedError as FencedError  # noqa: PLC0414 - this is how mypy sees a re-export
from atftctl.protocol import TrainerExit


class Ended(Exception):  # noqa: N818 - an end that is intended is not an error
    """The run is over. Raised in all processes; `reason` goes into the last event."""

    def __init__(self, code: TrainerExit, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class CheckpointError(Exception):
    """A checkpoint cannot be loaded; the message names the file."""


class DamagedError(CheckpointError):
    """The checkpoint's bytes are not those that were saved.

    Only a damaged file is moved aside: a file that cannot be read now, for want of memory or permissions, is whole.
    """


class WorkerLostError(Exception):
    """Another process of this run is gone, so the run cannot go on."""


class SettingsError(Exception):
    """A config cannot be trained with; the message names the key and the values that are allowed."""


class DataError(Exception):
    """A panel cannot be trained on; the message names the file, the row and the column."""


class ProbeError(Exception):
    """A probe can't measure what it was asked for; the message says why."""
