"""What is asked of a running trainer: by signal, or by a request in the run folder.

A request is a file, since torchrun's launcher dies of SIGHUP and does not hand SIGTERM on gently. It is looked for
at step boundaries only, by the lead, and all processes act on it at the same one.
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
    """SIGTERM and SIGINT ask to stop: the step at hand is finished and saved. A second one asks no louder."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._path = root / protocol.REQUEST
        self._run_id = run_id
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def stop_requested(self) -> bool:
        return self._asked

    def take_request(self) -> dict[str, Any]:
        """The request that waits, and take it away; {} without one. One for another run is a leftover."""
        try:
            asked = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            asked = {}
        with suppress(OSError):
            self._path.unlink()
        if not isinstance(asked, dict) or asked.get("run_id") != self._run_id:
            return {}
        if asked.get("want") == protocol.WANT_STOP:
            self._asked = True
        return asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._asked = True
