"""Dashboards for the metrics, besides the files. Each needs an optional package; a failure is only a warning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from atftctl.trainer.config.settings import Settings
from atftctl.trainer.telemetry.recorder import Recorder


class Dashboard(Protocol):
    """Takes one row of metrics, by name, for each step."""

    def log(self, row: dict[str, Any], step: int) -> None: ...
    def close(self) -> None: ...


def open_dashboards(settings: Settings, root: Path, recorder: Recorder) -> list[Dashboard]:
    """Return the dashboards that are on and could be opened. Only the main process has any."""
    if not recorder.is_main:
        return []
    candidates: tuple[tuple[str, bool, Callable[[], Dashboard]], ...] = (
        ("Weights & Biases", settings.improvements.enable_wandb, lambda: _wandb(settings, root, recorder)),
        ("TensorBoard", settings.training.tensorboard, lambda: _tensorboard(root, recorder)),
    )
    opened = [_open(name, make, recorder) for name, on, make in candidates if on]
    return [dashboard for dashboard in opened if dashboard is not None]


def log_to(dashboard: Dashboard, row: dict[str, Any], step: int, recorder: Recorder) -> bool:
    """Log one row; return False, with a warning, if the dashboard failed. The caller drops it after that."""
    try:
        dashboard.log(row, step)
    except Exception as error:  # noqa: BLE001 - a dashboard must not stop a training
        recorder.warn(f"{type(dashboard).__name__} is given up for this run: {error}")
        return False
    return True


def _open(name: str, make: Callable[[], Dashboard], recorder: Recorder) -> Dashboard | None:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - a dashboard must not stop a training
        recorder.warn(f"no {name}: {error}")
        return None


def _wandb(settings: Settings, root: Path, recorder: Recorder) -> Dashboard:
    from atftctl.trainer.improvements.wandb_log import WandbLog

    return WandbLog(root, recorder.run_id, settings.effective())


def _tensorboard(root: Path, recorder: Recorder) -> Dashboard:
    return TensorboardLog(root / "logs" / "tensorboard" / (recorder.run_id or "run"))


class TensorboardLog:
    """Writes scalars by name. Raises ImportError if tensorboard is not installed."""

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
