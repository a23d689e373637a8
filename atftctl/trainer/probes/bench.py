"""Makes trainers with the project's settings in a scratch folder: what most probes measure with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from atftctl.trainer.config import settings
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Bench:
    """Where and how to measure.

    `root`: the project, from which data, checkpoints and the cache are read; nothing is written there. `configs`: its
    config files. `baseline`: the baseline's config files, or none. `steps`: training steps. `dates`: dates to evaluate
    on; 0 for all of the validation split. `checkpoint`: the one to measure: "best", "last" or its path in the project.
    """

    root: Path
    scratch: Path
    configs: Sequence[Path]
    baseline: Sequence[Path] = ()
    steps: int = 60
    dates: int = 0
    checkpoint: str = "best"

    def make(self, configs: Sequence[Path], name: str) -> Trainer:
        """Return a trainer with these configs whose run folder is `name` in the scratch folder.

        Raises SettingsError and DataError.
        """
        loaded, digest = settings.load(list(configs))
        torch.set_num_threads(loaded.training.threads)
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        return Trainer(
            self._resolved(loaded),
            digest,
            folder,
            Recorder(folder, loaded.data.horizons),
            cache=self.scratch / "cache",
            prepared=self.root / "cache",
        )

    def _resolved(self, loaded: settings.Settings) -> settings.Settings:
        """Make the data path absolute (in the config it is relative to the project) and switch the dashboard off."""
        path = loaded.data.path
        return dataclasses.replace(
            loaded,
            data=dataclasses.replace(loaded.data, path=str(self.root / path) if path else None),
            improvements=dataclasses.replace(loaded.improvements, enable_wandb=False),
        )
