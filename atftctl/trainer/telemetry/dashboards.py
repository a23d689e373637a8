"""Where metrics go besides the files: each is an extra, imported late, and its failure is a warning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from atftctl.trainer.config.settings import Settings
from atftctl.trainer.telemetry.recorder import Recorder


class Dashboard(Protocol):
    def log(self, row: dict[str, Any], step: int) -> None: ...
    def close(self) -> None: ...


def open_dashboards(settings: Settings, root: Path, recorder: Recorder) -> list[Dashboard]:
    """Those that are on and could be opened; the lead's only."""
    found: list[Dashboard] = []
    if not recorder.lead:
        return found
    for name, on, make in (
        ("Weights & Biases", settings.improvements.enable_wandb, _wandb),
        ("TensorBoard", settings.training.tensorboard, _tensorboard),
    ):
        if on:
            _open(name, lambda make=make: make(settings, root, recorder), found, recorder)  # type: ignore[misc]
    return found


def logged(one: Dashboard, row: dict[str, Any], step: int, recorder: Recorder) -> bool:
    """False for a dashboard that failed: it is told once, and given up."""
    try:
        one.log(row, step)
    except Exception as error:  # noqa: BLE001 - a dashboard must not stop a training
        recorder.warn(f"{type(one).__name__} is given up: {error}")
        return False
    return True


def _open(name: str, make: Callable[[], Dashboard], found: list[Dashboard], recorder: Recorder) -> None:
    try:
        found.append(make())
    except Exception as error:  # noqa: BLE001 - a dashboard must not stop a training
        recorder.warn(f"no {name}: {error}")


def _wandb(settings: Settings, root: Path, recorder: Recorder) -> Dashboard:
    from atftctl.trainer.improvements.wandb_log import WandbLog

    return WandbLog(root, recorder.run_id, settings.effective())


def _tensorboard(settings: Settings, root: Path, recorder: Recorder) -> Dashboard:
    del settings
    return TensorboardLog(root / "logs" / "tensorboard" / (recorder.run_id or "run"))


class TensorboardLog:
    """Scalars by name. Raises ImportError where the extra is not installed."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, row: dict[str, Any], step: int) -> None:
        for name, value in row.items():
            if isinstance(value, int | float) and name != "step":
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        with suppress(OSError):
            self._writer.close()
