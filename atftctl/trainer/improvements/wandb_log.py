"""`enable_wandb`: metrics to Weights & Biases. An extra that is imported late; when it fails, that is a warning."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMIT_S = 20.0


class WandbLog:
    """Raises ImportError or TimeoutError where there is no run to log to."""

    def __init__(self, root: Path, run_id: str, settings: dict[str, Any]) -> None:
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_SILENT", "true")
        self._run: Any = None
        failed: list[BaseException] = []

        def begin() -> None:
            try:
                import wandb

                self._run = wandb.init(project="atft-gat-fan", id=run_id or None, dir=root / "logs", config=settings)
            except BaseException as error:  # noqa: BLE001 - whatever it is, training goes on
                failed.append(error)

        thread = threading.Thread(target=begin, daemon=True)
        thread.start()
        thread.join(LIMIT_S)
        if failed:
            raise failed[0]
        if self._run is None:
            raise TimeoutError(f"wandb did not start within {LIMIT_S:g} s")

    def log(self, row: dict[str, Any], step: int) -> None:
        self._run.log(row, step=step)

    def close(self) -> None:
        with suppress(Exception):  # it may have lost its own process
            self._run.finish()
