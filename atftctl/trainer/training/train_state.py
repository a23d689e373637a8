"""What a run is made of between two steps: saved whole, taken up exactly, converted to other flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.errors import CheckpointError, DamagedError, Ended
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training import checkpoint
from atftctl.trainer.training.components import Parts

FILES = {"last": (protocol.LAST, protocol.PREVIOUS, protocol.BEST), "best": (protocol.BEST,), "scratch": ()}


@dataclass
class Progress:
    """How far a run has come. `best` is the best RankIC so far."""

    step: int = 0
    best: float = float("-inf")


def payload(parts: Parts, progress: Progress) -> dict[str, Any]:
    """No state of the random numbers: they are drawn from seed, step and date."""
    return {
        "step": progress.step,
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


def save(root: Path, name: str, parts: Parts, progress: Progress, recorder: Recorder, *, must: bool = False) -> bool:
    """By the lead; False where it failed. That leaves the old checkpoint, and is told; training goes on unless this
    was the last word: then Ended."""
    if not recorder.is_main:
        return True
    previous = root / protocol.PREVIOUS if name == protocol.LAST else None
    try:
        digest = checkpoint.save(root / name, payload(parts, progress), previous=previous)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        words = " ".join(str(error).split())[:300]
        recorder.event(protocol.SAVE_FAILED, path=name, message=words)
        recorder.log.error("%s could not be saved, the old one stands: %s", name, words)
        if must:
            raise Ended(TrainerExit.SAVE_FAILED, words) from None
        return False
    recorder.event(protocol.CHECKPOINT, path=name, sha256=digest)
    return True


def resume(root: Path, kind: str, parts: Parts, recorder: Recorder) -> tuple[str, Progress]:
    """Which checkpoint was taken up, "scratch" for none, and how far it had come. One that is damaged is named, and
    the one before is taken. Raises CheckpointError where none of those that are there will do, and for one that is
    whole and can't be read now: an older one would lose steps."""
    refused: CheckpointError | None = None
    for name in FILES[kind]:
        try:
            saved = checkpoint.load(root / name)
        except FileNotFoundError:
            continue
        except DamagedError as error:
            refused = error
            if (
                name == protocol.LAST and recorder.is_main
            ):  # aside, so that the next save does not make it the one before
                (root / name).replace(root / protocol.DAMAGED)
            recorder.warn(f"{error}; the one before is taken")
            continue
        return name, load_state(saved, parts, recorder)
    if refused:
        raise refused
    return "scratch", Progress()


def load_state(saved: dict[str, Any], parts: Parts, recorder: Recorder) -> Progress:
    """Go on exactly where this was saved, converted to the flags of now. Raises CheckpointError."""
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
        notes.append("optimiser moments start afresh")
    if parts.scaler.is_enabled() and saved["scaler"]:
        parts.scaler.load_state_dict(saved["scaler"])
    _load_averages(saved, parts, converted=bool(converted))
    if parts.recovery is not None:
        parts.model.chunks = max(parts.model.chunks, int(saved["chunks"]))
    for note in notes:
        recorder.log.info("converted: %s", note)
    best = float(saved["best"])
    if best > float("-inf") and saved.get("judged_on", parts.evaluation_identity) != parts.evaluation_identity:
        recorder.log.info("the best RankIC so far (%.4f) was of other data, horizons or dates: it starts afresh", best)
        best = float("-inf")
    return Progress(int(saved["step"]), best)


def _keep_hyperparameters(saved: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Moments from the checkpoint; weight decay and the like as the settings of now say."""
    groups = [
        {**old, **{key: value for key, value in new.items() if key != "params"}}
        for old, new in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    return {**saved, "param_groups": groups}


def _load_averages(saved: dict[str, Any], parts: Parts, *, converted: bool) -> None:
    """Averaged weights go on if there are any of this shape; else the average starts from the raw weights."""
    if parts.ema is None:
        return
    if saved["ema"] is not None and not converted:
        parts.ema.load_state_dict(saved["ema"])
    else:
        parts.ema.model.load_state_dict(parts.model.state_dict())
