"""Where a flag's effect is measured: the project's settings on a small market, with one flag at a time changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atftctl.trainer.config import settings as settings_module
from atftctl.trainer.config.settings import Settings
from atftctl.trainer.data.dataset import Dataset, Day
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training.trainer import Trainer

STOCKS, DAYS = 40, 160  # of the small market that most probes use


class NotApplicable(Exception):  # noqa: N818 - a result, not an error
    """The flag cannot have an effect on this machine; the message says why."""


@dataclass(frozen=True)
class Observation:
    """What was measured with the flag on and with it off, as texts with units, and whether the flag acts."""

    on: str
    off: str
    acts: bool


class Lab:
    """Makes trainers with the project's settings on a small synthetic market, in a scratch folder."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        days = DAYS + 8 * max(0, *settings.data.horizons)  # the splits leave a gap of the longest horizon
        graph = dataclasses.replace(settings.data.graph, neighbours=min(settings.data.graph.neighbours, STOCKS // 2))
        data = dataclasses.replace(
            settings.data,
            path=None,
            extra_features=(),
            train_end=None,
            validation_end=None,
            sequence_length=min(settings.data.sequence_length, 20),
            synthetic=settings_module.Synthetic(seed=1, stocks=STOCKS, days=days),
            memory_map=False,
            graph=graph,
        )
        training = dataclasses.replace(settings.training, dates_per_step=1, tensorboard=False)
        self.real = settings
        self.settings = dataclasses.replace(settings, data=data, training=training)
        self.scratch = scratch
        self._runs = 0
        self.dataset = Dataset(data, scratch / "cache")
        self.group = ProcessGroup()

    def day(self) -> Day:
        """Return the last training day, on this machine's device."""
        return self.dataset.day(int(self.dataset.split.train[-1])).to(self.group.device)

    def with_values(self, values: Mapping[str, Any]) -> Settings:
        """Return the small market's settings with these dotted keys changed."""
        settings = self.settings
        for key, value in values.items():
            section, name = key.split(".")
            part = dataclasses.replace(getattr(settings, section), **{name: value})
            settings = dataclasses.replace(settings, **{section: part})
        return settings

    def trainer(self, values: Mapping[str, Any]) -> Trainer:
        """Return a trainer with these dotted keys changed, in a run folder of its own."""
        self._runs += 1
        root = self.scratch / f"effect-{self._runs}"
        root.mkdir()
        settings = self.with_values({"improvements.enable_wandb": False, **values})
        return Trainer(settings, "", root, Recorder(root, settings.data.horizons), cache=self.scratch / "cache")
