"""Live settings: the config is read again between two steps, and what it changes is made anew from a checkpoint.

All or nothing: settings that are wrong, or a model that the checkpoint does not fit, are refused, and training goes
on with the old ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atftctl import protocol
from atftctl.trainer.config.settings import check_even_shards
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.errors import CheckpointError, DataError, SettingsError
from atftctl.trainer.model import ridge
from atftctl.trainer.runtime.memory import is_out_of_memory, tune_allocator_if_large
from atftctl.trainer.training import train_state
from atftctl.trainer.training.components import Parts, assemble

if TYPE_CHECKING:
    from atftctl.trainer.config.settings import Reread
    from atftctl.trainer.training.trainer import Trainer

Made = tuple[Dataset, Parts, train_state.Progress, str]


def reload(trainer: Trainer, asked: dict[str, Any], reread: Reread) -> None:
    """Called by all processes at the same boundary; the lead reads the request and the config for all of them."""
    asked, found, refused = trainer.group.broadcast(_read(asked, reread))
    made: Made | None = None
    if found is not None:
        unsaved = trainer.group.any(not trainer.save(protocol.LAST))  # and nobody reads it before it is written
        resume = str(asked.get("resume", "last"))
        if unsaved and resume == "last":
            refused = f"{protocol.LAST} could not be saved, and an older one would lose steps"
        else:
            made, refused = _try_to_make(trainer, found, resume)
        made = None if trainer.group.any(bool(refused)) else made
    if made is None:
        words = refused or "refused by another process"
        trainer.recorder.event(protocol.RELOAD_REFUSED, request=asked.get("id", ""), message=words)
        trainer.recorder.log.error("the new settings were refused, training goes on with the old ones: %s", words)
        return
    dataset, parts, progress, source = made
    trainer.swap_in(dataset, parts, progress)
    trainer.recorder.event(
        protocol.RELOADED, request=asked.get("id", ""), digest=trainer.parts.digest,
        effective=trainer.settings.effective(), resumed_from=source,
    )  # fmt: skip
    trainer.recorder.log.info("new settings taken up from %s, config %s", source, trainer.parts.digest[:12])


def _read(asked: dict[str, Any], reread: Reread) -> tuple[dict[str, Any], Any, str]:
    if not asked:
        return {}, None, ""  # not the lead
    try:
        return asked, reread(), ""
    except SettingsError as error:
        return asked, None, str(error)


def _try_to_make(trainer: Trainer, found: Any, resume: str) -> tuple[Made | None, str]:
    settings, digest = found
    try:
        if resume not in train_state.FILES:
            raise SettingsError(f"resume from {resume!r}? known: {', '.join(train_state.FILES)}")
        check_even_shards(settings, trainer.group.size)
        if settings.data.horizons != trainer.settings.data.horizons:
            raise SettingsError("data.horizons: the columns of metrics.csv are fixed; a restart takes it up")
        same = settings.data == trainer.settings.data
        make = lambda: Dataset(settings.data, trainer.cache)  # noqa: E731
        dataset = trainer.dataset if same else trainer.group.main_first(make)
        tune_allocator_if_large(dataset.most_stocks())
        parts = assemble(settings, digest, dataset, trainer.group.device)
        source, progress = train_state.resume(trainer.root, resume, parts, trainer.recorder)
        if source == "scratch" != resume:
            raise CheckpointError(f"there is no checkpoint to resume from ({resume})")
        if source == "scratch":
            ridge.start_linear_path(parts, dataset)
    except (SettingsError, DataError, CheckpointError, OSError) as error:
        return None, str(error)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None, f"no memory for it beside what runs: {' '.join(str(error).split())[:200]}"
    return (dataset, parts, progress, source), ""
