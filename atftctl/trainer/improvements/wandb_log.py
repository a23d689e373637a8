"""`enable_wandb`: logs metrics to Weights & Biases, an optional package. A failure is only a warning."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

LIMIT_S = 20.0


class WandbLog:
    """Logs to one run, offline unless WANDB_MODE says otherwise.

    Raises ImportError if wandb is not installed, TimeoutError if it does not start within LIMIT_S seconds, and what
    wandb itself raises.
    """

    def __init__(self, root: Path, run_id: str, settings: dict[str, Any]) -> None:
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_SILENT", "true")
        self._run: Any = None
        failed: list[BaseException] = []

        def begin() -> None:
            try:
                import wandb

                self._run = wandb.init(project="atft-gat-fan", id=run_id or None, dir=root / "logs", config=settings)
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                failed.append(error)

        thread = threading.Thread(target=begin, daemon=True)
        thread.start()
        thread.join(LIMIT_S)
        if failed:
            raise failed[0]
        if self._run is None:
            raise TimeoutError(f"wandb did not start within {LIMIT_S:g} s")

    def log(self, row: dict[str, Any], step: int) -> None:
        """Log the metrics of one step."""
        self._run.log(row, step=step)

    def close(self) -> None:
        """Finish the run."""
        with suppress(Exception):  # wandb may have lost its own process
            self._run.finish()
