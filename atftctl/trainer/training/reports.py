"""What is reported of the start of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from atftctl import protocol
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training.components import Parts
from atftctl.trainer.training.loss import definitions


def report_start(
    recorder: Recorder,
    parts: Parts,
    dataset: Dataset,
    group: ProcessGroup,
    seconds: Mapping[str, float],
    source: str,
    resumed_generation: int,
) -> None:
    """Write the first event, with the settings in effect, and what the panel's reader found.

    `seconds`: how long each part of the start took, by name. `source`: the checkpoint that was loaded, or "scratch".
    `resumed_generation`: of the trainer that saved it; 0 where that is not known.
    """
    recorder.event(
        protocol.STARTED,
        digest=parts.digest,
        effective=parts.settings.effective(),
        resumed_from=source,
        resumed_generation=resumed_generation,
        measured_on={**parts.evaluation_identity, "losses": definitions(parts.settings)},
        device=group.device.type,
        torch=torch.__version__,
        world_size=group.size,
        seconds=seconds,
    )
    recorder.log.info("ready: %s", ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))
    recorder.log.info("started from %s at step %d, config %s", source, recorder.step, parts.digest[:12])
    for note in (*dataset.panel.notes, *dataset.notes):
        recorder.log.info("data: %s", note)
    for warning in (*dataset.panel.warnings, *dataset.warnings):
        recorder.warn(f"data: {warning}")
