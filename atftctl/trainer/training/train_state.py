"""The state of a run between two steps: saved whole, loaded exactly, converted when flags changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit, generations
from atftctl.trainer.errors import CheckpointError, DamagedError, Ended
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training import checkpoint
from atftctl.trainer.training.components import Parts

FILES = {"last": (protocol.LAST, protocol.PREVIOUS, protocol.BEST), "best": (protocol.BEST,), "scratch": ()}


@dataclass
class Progress:
    """How far a run has come: steps done, and the best RankIC so far. `resumed_generation`: of the trainer that saved
    the checkpoint that the run started from; 0 where that is not known."""

    step: int = 0
    best: float = float("-inf")
    resumed_generation: int = 0


def payload(parts: Parts, progress: Progress, generation: int) -> dict[str, Any]:
    """Return what a checkpoint holds. `generation`: of the trainer that saves it.

    It holds no state of the random numbers, which depend on seed, step and date alone. The key `judged_on` is the
    identity of the evaluation; it keeps its name because existing checkpoints have it.
    """
    return {
        "step": progress.step,
        "generation": generation,
        "best": progress.best,
        "digest": parts.digest,
        "judged_on": parts.evaluation_identity,
        "features": list(parts.features),
        "horizons": list(parts.settings.data.horizons),
        "chunks": parts.model.chunks,
        "model": parts.model.state_dict(),
        "ema": parts.ema.state_dict() if parts.ema is not None else None,
        "names": [name for name, _ in parts.model.named_parameters()],
        "optimizer": parts.optimizer.state_dict(),
        "scaler": parts.scaler.state_dict(),
    }


def save(
    root: Path,
    name: str,
    parts: Parts,
    progress: Progress,
    recorder: Recorder,
    generation: Generation,
    *,
    must: bool = False,
) -> bool:
    """Save a checkpoint, in the main process; return False if that failed.

    After a failure the old checkpoint is unchanged, and an event is written; training goes on. With `must` a failure
    raises Ended instead. Raises FencedError where a newer trainer was started: nothing is saved then.
    """
    if not recorder.is_main:
        return True
    previous = root / protocol.PREVIOUS if name == protocol.LAST else None
    try:
        digest = checkpoint.save(
            root / name, payload(parts, progress, generation.number), generation, previous=previous
        )
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        message = " ".join(str(error).split())[:300]
        recorder.event(protocol.SAVE_FAILED, path=name, message=message)
        recorder.log.error("%s could not be saved, the old one is unchanged: %s", name, message)
        if must:
            raise Ended(TrainerExit.SAVE_FAILED, message) from None
        return False
    recorder.event(protocol.CHECKPOINT, path=name, sha256=digest)
    return True


def resume(root: Path, kind: str, parts: Parts, recorder: Recorder, generation: Generation) -> tuple[str, Progress]:
    """Load the checkpoint of this kind ("last", "best" or "scratch") into `parts`.

    Returns (the path that was loaded, or "scratch" if there is none; the progress). A damaged checkpoint is reported,
    and the one before it is loaded. Raises CheckpointError if there are checkpoints but none can be loaded, and for one
    that is whole but cannot be read now, because an older one would lose steps; FencedError where a damaged one would
    be renamed although a newer trainer was started.
    """
    damaged: DamagedError | None = None
    for name in FILES[kind]:
        try:
            saved = checkpoint.load(root / name)
        except FileNotFoundError:
            continue
        except DamagedError as error:
            damaged = error
            if name == protocol.LAST and recorder.is_main:  # so that the next save does not keep it as the previous one
                generation.check()
                (root / name).replace(root / protocol.DAMAGED)
            recorder.warn(f"{error}; the one before it is loaded")
            continue
        return name, load_state(saved, parts, recorder)
    if damaged:
        raise damaged
    return "scratch", Progress()


def load_state(saved: dict[str, Any], parts: Parts, recorder: Recorder) -> Progress:
    """Load a checkpoint's content into `parts`, converted to the current flags; return the progress.

    Training then goes on exactly as if it had not stopped. Raises CheckpointError.
    """
    saved, notes = checkpoint.by_name(saved, parts.features, parts.settings.data.horizons)
    reordered = bool(notes)
    state, converted = checkpoint.fit_state(saved["model"], parts.model)
    notes += converted
    try:
        parts.model.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise CheckpointError(
            f"the checkpoint does not fit this model: {lines[1].strip() if len(lines) > 1 else lines[0]}"
        ) from None
    if not reordered and saved["names"] == [name for name, _ in parts.model.named_parameters()]:
        parts.optimizer.load_state_dict(_keep_hyperparameters(saved["optimizer"], parts.optimizer))
    else:
        notes.append("the optimiser's moments start from zero")
    if parts.scaler.is_enabled() and saved["scaler"]:
        parts.scaler.load_state_dict(saved["scaler"])
    _load_averages(saved, parts, converted=bool(converted))
    if parts.recovery is not None:
        parts.model.chunks = max(parts.model.chunks, int(saved["chunks"]))
    for note in notes:
        recorder.log.info("converted: %s", note)
    best = float(saved["best"])
    if best > float("-inf") and saved.get("judged_on", parts.evaluation_identity) != parts.evaluation_identity:
        recorder.log.info(
            "the best RankIC so far (%.4f) was measured on other data, horizons or dates, and is dropped", best
        )
        best = float("-inf")
    saved_by = saved.get("generation")
    return Progress(int(saved["step"]), best, saved_by if generations.is_number(saved_by) else 0)


def _keep_hyperparameters(saved: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the saved state with the hyperparameters (weight decay and others) of the current settings."""
    groups = [
        {**old, **{key: value for key, value in new.items() if key != "params"}}
        for old, new in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {**saved, "param_groups": groups}


def _load_averages(saved: dict[str, Any], parts: Parts, *, converted: bool) -> None:
    """Load the saved averaged weights if there are any of this shape; else start the average from the raw weights."""
    if parts.ema is None:
        return
    if saved["ema"] is not None and not converted:
        parts.ema.load_state_dict(saved["ema"])
    else:
        parts.ema.model.load_state_dict(parts.model.state_dict())
