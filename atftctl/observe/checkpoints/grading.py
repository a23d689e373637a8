"""Let the trainer's own code load a checkpoint and train some steps from it, in a process that can't harm the
machine."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atftctl.domain import missing_parts
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook
from atftctl.host.errors import HostError
from atftctl.host.files.logs import tail
from atftctl.host.files.reading import read_bytes
from atftctl.host.memory import available_mb
from atftctl.host.process.supervised import Limits, supervised
from atftctl.observe.trainer_run.probes import environment, scratch
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

SHARE = 0.9  # of the memory that is available; the rest is for the trainer in service
LARGEST = 4 << 20  # bytes of an answer
ANSWER, OUTPUT = "measured.json", "probe.log"


@record
class GradeRequest:
    """What to measure. `path`: of the checkpoint, relative to the project. `configs`: the config files that it is to be
    trained with. `steps`: training steps; 0 to only load it. `limit_s`: seconds that this may take."""

    path: str
    configs: Sequence[bytes]
    steps: int
    limit_s: float


@record
class Measured:
    """The probe's answer, and the last line that it wrote; or why there is none (`missing`): that says nothing about
    the checkpoint. `crashed`: the process was killed by a signal, which a checkpoint can cause."""

    answer: Mapping[str, Any]
    missing: str = ""
    crashed: bool = False


def measure(layout: Layout, runbook: Runbook, request: GradeRequest) -> Measured:
    """Run `trainer probe grade`."""
    if not runbook.trainer.probe:
        return Measured({}, missing_parts.no_probe())
    with scratch(layout) as folder:
        options = ["--steps", str(max(request.steps, 1)), "--file", str(layout.root / request.path)]
        options += [] if request.steps else ["--only-load"]
        for number, text in enumerate(request.configs):
            options += ["--config", folder.put(f"config-{number}.yaml", text)]
        command = [argument.replace("{python}", sys.executable) for argument in runbook.trainer.probe]
        with supervised(
            [*command, "grade", "--out", str(folder.out / ANSWER), *options],
            cwd=layout.root,
            env={**environment(layout.root), "TMPDIR": str(folder.out)},
            output=folder.folder / OUTPUT,
            limits=Limits(seconds=request.limit_s, memory_mb=math.ceil(available_mb() * SHARE)),
        ) as program:
            program.wait()
        answer = _read(folder.out / ANSWER)
        if answer and "error" not in answer:
            return Measured(answer)
        lines = [line.strip() for line in tail(folder.folder, OUTPUT, 20) if line.strip()]
        code = program.code
        missing = str(answer.get("error") or program.problem) or tr(
            "the probe ended with exit code {code}: {line}", code=code, line=(lines or [""])[-1]
        )
        return Measured({}, missing[:300], crashed=not program.problem and code is not None and code < 0)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_bytes(path, LARGEST))
    except (OSError, HostError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
