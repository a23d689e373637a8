"""Live settings: read the config again between two steps and prepare a run with it, next to the one that goes on.

All or nothing: settings that are wrong, or a model that the checkpoint does not fit, are refused, and training goes on
with the old ones. Nothing here changes the run: the loop saves before `prepare`, and swaps after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atftctl.trainer.config.settings import ReadConfig, Settings, check_even_shards
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.errors import CheckpointError, DataError, SettingsError
from atftctl.trainer.model import ridge
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.runtime.memory import is_out_of_memory, tune_allocator_if_large
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training import train_state
from atftctl.trainer.training.components import Parts, assemble


@dataclass(frozen=True)
class NewSettings:
    """The settings that a reload asks for. `resume`: the checkpoint to go on from ("last", "best" or "scratch")."""

    settings: Settings
    digest: str
    resume: str


@dataclass(frozen=True)
class RunningTraining:
    """What a reload reads of the run that goes on."""

    settings: Settings
    dataset: Dataset
    root: Path
    cache: Path
    group: ProcessGroup
    recorder: Recorder
    generation: Generation


@dataclass(frozen=True)
class Prepared:
    """A run with the new settings, ready to be swapped in. `source`: the checkpoint that it was loaded from."""

    dataset: Dataset
    parts: Parts
    progress: train_state.Progress
    source: str


@dataclass(frozen=True)
class ReloadRefused:
    """Training goes on with the old settings; `reason` says why."""

    reason: str


def read_settings(request: dict[str, Any], read_config: ReadConfig) -> NewSettings | ReloadRefused:
    """Read the config for this request. Called by the main process only, so that all processes get the same one."""
    try:
        settings, digest = read_config()
    except SettingsError as error:
        return ReloadRefused(str(error))
    return NewSettings(settings, digest, str(request.get("resume", "last")))


def prepare(new: NewSettings, run: RunningTraining) -> Prepared | ReloadRefused:
    """Build the model of the new settings and load its checkpoint.

    Called by all processes at the same step boundary: all of them get Prepared, or all of them ReloadRefused.
    The dataset of the current run is used again when its settings did not change.
    """
    outcome = _prepare_here(new, run)
    refused_anywhere = run.group.any(isinstance(outcome, ReloadRefused))
    if refused_anywhere and isinstance(outcome, Prepared):
        return ReloadRefused("refused by another process")
    return outcome


def _prepare_here(new: NewSettings, run: RunningTraining) -> Prepared | ReloadRefused:
    settings, dataset = new.settings, run.dataset
    try:
        _check(new, run)
        if settings.data != run.settings.data:
            dataset = run.group.main_first(lambda: Dataset(settings.data, run.cache))
        tune_allocator_if_large(dataset.most_stocks())
        parts = assemble(settings, new.digest, dataset, run.group.device)
        source, progress = train_state.resume(run.root, new.resume, parts, run.recorder, run.generation)
        if source == "scratch" != new.resume:
            raise CheckpointError(f"there is no checkpoint to resume from ({new.resume})")
        if source == "scratch":
            ridge.start_linear_path(parts, dataset)
    except (SettingsError, DataError, CheckpointError, OSError) as error:
        return ReloadRefused(str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return ReloadRefused(f"not enough memory next to the running model: {' '.join(str(error).split())[:200]}")
    return Prepared(dataset, parts, progress, source)


def _check(new: NewSettings, run: RunningTraining) -> None:
    """Raises SettingsError for what a reload can't change, or can't be asked for."""
    if new.resume not in train_state.FILES:
        raise SettingsError(f"cannot resume from {new.resume!r}: use one of {', '.join(train_state.FILES)}")
    check_even_shards(new.settings, run.group.size)
    if new.settings.data.horizons != run.settings.data.horizons:
        raise SettingsError("data.horizons: the columns of metrics.csv are fixed; restart the trainer to change them")
