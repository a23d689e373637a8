"""Requests to a running trainer: to stop (by signal or by a file), or to reload its settings (by a file).

The file is logs/request.json of the run folder. A file is needed because torchrun's launcher dies of SIGHUP and does
not pass SIGTERM on in a way that lets the step be saved. The main process looks for the file at step boundaries only,
and all processes act on it at the same boundary.
"""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from atftctl import protocol


class StopRequests:
    """Receives the requests. SIGTERM and SIGINT ask to stop: the current step is finished and saved. A second signal
    changes nothing."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._path = root / protocol.REQUEST
        self._run_id = run_id
        self._stop = False
        signal.signal(signal.SIGTERM, self._handle_signal)
        signal.signal(signal.SIGINT, self._handle_signal)

    def stop_requested(self) -> bool:
        """Return whether a signal, or a request that was taken, asked this process to stop."""
        return self._stop

    def take_request(self) -> dict[str, Any]:
        """Return the waiting request and delete its file; {} if there is none.

        A request for another run is a leftover: its file is deleted, and {} is returned.
        """
        try:
            request = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            request = {}
        with suppress(OSError):
            self._path.unlink()
        if not isinstance(request, dict) or request.get("run_id") != self._run_id:
            return {}
        if request.get("want") == protocol.WANT_STOP:
            self._stop = True
        return request

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop = True
