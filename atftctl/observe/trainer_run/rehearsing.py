"""Have the trainer's own code train some steps with planned settings in a scratch folder, beside the current ones."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from atftctl.domain import missing_parts
from atftctl.domain.errors import Inconclusive
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook
from atftctl.host.errors import HostError, reason
from atftctl.host.files.logs import tail
from atftctl.host.files.reading import read_bytes
from atftctl.host.process.supervised import Limits, Supervised, supervised
from atftctl.observe.trainer_run.probes import Scratch, environment, how_failed, scratch
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

LARGEST = 16 << 20  # bytes of an answer
OUTPUT, ANSWER = "probe.log", "measured.json"
LOG_LINES, LOG_COLUMNS = 6, 300
SHARE = 0.9  # of the time limit, that the probe itself may take: it can then tell what took so long


@record
class RehearseRequest:
    """What to rehearse. `planned`, `current`: contents of the config files, in the runbook's order. `resume`: the
    checkpoint of the planned start. `models`: files that the plan puts in place of models, by path; None for one that
    it removes. `memory_mb`: of all processes together, so that the trainer in service keeps its own; 0 for no limit."""

    planned: Sequence[bytes]
    current: Sequence[bytes]
    steps: int
    resume: str
    models: Mapping[str, bytes | Path | None]
    memory_mb: int = 0


def rehearse(layout: Layout, runbook: Runbook, request: RehearseRequest) -> dict[str, Any]:
    """Rehearse; return what the probe measured. The project is only read. Raises Inconclusive where nothing was
    measured: no probe, a probe that hangs or crashes, a full disk."""
    if not runbook.trainer.probe:
        raise missing_parts.probe()
    try:
        with scratch(layout) as folder, _probe(layout, runbook, request, folder) as program:
            program.wait()
            return _answer(folder, program)
    except (OSError, HostError) as error:
        raise Inconclusive(
            tr("the scratch folder could not be written (TMPDIR names another): {reason}", reason=reason(error))
        ) from None


def _probe(
    layout: Layout, runbook: Runbook, request: RehearseRequest, folder: Scratch
) -> AbstractContextManager[Supervised]:
    """Start the probe for the block."""
    limit_s = runbook.checks.probe_limit_s
    options = ["--steps", str(request.steps), "--resume", request.resume, "--limit-s", f"{limit_s * SHARE:g}"]
    options += ["--memory-limit-mb", str(runbook.trainer.memory_limit_mb)]
    for option, texts in (("--config", request.planned), ("--baseline-config", request.current)):
        for number, text in enumerate(texts):
            options += [option, folder.put(f"{option.strip('-')}-{number}.yaml", text)]
    for number, (name, content) in enumerate(request.models.items()):
        source = _put_model(folder, f"model-{number}", content)
        options += ["--model", f"{name}={source}"]
    command = [argument.replace("{python}", sys.executable) for argument in runbook.trainer.probe]
    return supervised(
        [*command, "rehearse", "--out", str(folder.out / ANSWER), *options],
        cwd=layout.root,
        env={**environment(layout.root), "TMPDIR": str(folder.out)},
        output=folder.folder / OUTPUT,
        limits=Limits(seconds=limit_s, memory_mb=request.memory_mb),
    )


def _put_model(folder: Scratch, name: str, content: bytes | Path | None) -> str:
    """Put a model into the scratch folder, so that nobody takes it away while it is read; return its path. "" for None.

    Raises Inconclusive where it is gone already: the trainer removes old checkpoints of its history.
    """
    if content is None:
        return ""
    if isinstance(content, bytes):
        return folder.put(name, content)
    held = folder.folder / name
    try:
        os.link(content, held)
    except FileNotFoundError:
        raise Inconclusive(tr("{path} was removed or replaced meanwhile", path=content)) from None
    except OSError:  # another file system, or none that knows hard links
        return str(content)
    return str(held)


def _answer(folder: Scratch, program: Supervised) -> dict[str, Any]:
    try:
        value = json.loads(read_bytes(folder.out / ANSWER, LARGEST), parse_constant=lambda _: math.nan)
    except (OSError, HostError, ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and not program.problem:
        if not (problem := value.get("error")):
            return value
        raise Inconclusive(tr("the probe measured nothing: {reason}", reason=str(problem)[:300]))
    lines = [line.rstrip()[:LOG_COLUMNS] for line in tail(folder.folder, OUTPUT, 4 * LOG_LINES) if line.strip()]
    why = how_failed(program) or tr("it gave no answer")
    raise Inconclusive(tr("the probe measured nothing: {reason}", reason=why), lines=tuple(lines[-LOG_LINES:]))
