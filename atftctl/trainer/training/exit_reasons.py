"""Gives each kind of error that ends a run its exit code and its reason."""

from __future__ import annotations

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.errors import CheckpointError, DataError, Ended, FencedError, SettingsError, WorkerLostError
from atftctl.trainer.runtime import card
from atftctl.trainer.runtime.memory import is_out_of_memory
from atftctl.trainer.telemetry.recorder import Recorder

CODES: tuple[tuple[type[Exception], TrainerExit], ...] = (
    (SettingsError, TrainerExit.BAD_SETTINGS),
    (DataError, TrainerExit.BAD_DATA),
    (CheckpointError, TrainerExit.BAD_CHECKPOINT),
)


def classify_exit(error: Exception, recorder: Recorder) -> tuple[TrainerExit, str]:
    """Return (exit code, reason) and log the error. An unexpected error is a crash: the log gets its traceback."""
    if isinstance(error, Ended):
        return error.code, error.reason
    for kind, code in CODES:
        if isinstance(error, kind):
            recorder.log.error("%s", error)
            return code, str(error)
    if isinstance(error, FencedError):
        recorder.event(protocol.FENCED, message=str(error), newer=error.newer)
        recorder.log.error("%s; nothing more is saved", error)
        return TrainerExit.FENCED, str(error)
    if isinstance(error, WorkerLostError):
        recorder.any_rank_event(protocol.WORKER_LOST, message=str(error))
        recorder.log.error("%s", error)
        return TrainerExit.WORKER_LOST, str(error)
    reason = f"{type(error).__name__}: {error}"[:500]
    if is_out_of_memory(error):
        recorder.any_rank_event(
            protocol.OOM, message=str(error)[:300], section="outside a step", recoverable=False, **card.report()
        )
        return TrainerExit.OUT_OF_MEMORY, reason
    recorder.log.error("crashed", exc_info=error)
    return TrainerExit.CRASHED, reason
