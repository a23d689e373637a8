"""Does the trainer hang while its gate is open? Judged without the machine's clock, which may jump."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from atftctl import protocol
from atftctl.domain.metrics_window import Window
from atftctl.operations.reenable.window import Silence
from tests.support.snapshots import layout_of

HOUR = 3600.0


def beat(root: Path, t: float) -> None:
    path = root / protocol.HEARTBEAT
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"t": t, "limit_s": 60.0, "run_id": "run", "section": "step", "step": 1}))


def test_a_clock_that_jumps_makes_no_trainer_hang(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    moment = [begun]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    silence = Silence(layout_of(root), "run")
    silent = Window((), alive=True, silent_s=HOUR)  # as observed by the clock that jumped
    beat(root, 1000.0)
    assert silence.confirm(silent).silent_s is None
    moment[0] = begun + 50
    assert silence.confirm(silent).silent_s is None, "its step may last 60 s"
    beat(root, 1000.0 + HOUR)
    moment[0] = begun + 70
    assert silence.confirm(silent).silent_s is None, "another heartbeat came"
    moment[0] = begun + 131
    assert silence.confirm(silent).silent_s == HOUR, "none for as long as the step may last"
    assert silence.confirm(Window((), alive=True)).silent_s is None
