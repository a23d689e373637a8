"""Measure the parts of the checklist with the trainer's own code, in processes that can't harm the machine."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from atftctl.domain import missing_parts
from atftctl.domain.probe_answer import SEE
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook
from atftctl.host.errors import HostError, reason
from atftctl.host.files.logs import tail
from atftctl.host.files.reading import read_bytes
from atftctl.host.memory import available_mb
from atftctl.host.process.supervised import Limits, Supervised, supervised
from atftctl.observe.trainer_run.probes import Scratch, environment, how_failed, preparing, scratch
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

SHARE = 0.9  # of the memory that is available; the rest is for the trainer in service, which may grow meanwhile
LARGEST = 64 << 20  # bytes of an answer
LOG_LINES, LOG_COLUMNS = 12, 300
LONGEST_ERROR = 300  # characters
OUTPUT, ANSWER, PARTS = "probe.log", "measured.json", "parts"

Answer = Mapping[str, Any]


@record
class MeasureRequest:
    """What to measure. `parts`: of the probe. `steps`: training steps. `pairs`: dates, or examples, to evaluate on; 0
    for all.
    `baseline_configs`: the baseline's config files by path; step times are compared with those of these settings.
    `newest`: measure the last checkpoint, not the best one. `checkpoint`: the path of another one; "" for none.
    `configs`: the config files to measure with; none for the project's own."""

    parts: Sequence[str]
    steps: int
    pairs: int = 0
    baseline_configs: Mapping[str, str] | None = None
    newest: bool = False
    checkpoint: str = ""
    configs: Sequence[bytes] = ()


class Measuring:
    """A probe that runs. `collect` waits for its end."""

    def __init__(self, program: Supervised, folder: Scratch, parts: Sequence[str]) -> None:
        self._program, self._folder, self._parts = program, folder, parts

    def collect(self, watch: Callable[[str], None] = lambda _: None) -> dict[str, Answer]:
        """Wait for the end of the probe; return the answer of each part. `watch`: called with the name of the part that
        is being measured.

        An answer holds what was measured; or `error`, where that failed; or `crashed`, how the process of the part
        ended, with `log`, its last lines; or `missing`, why there is no answer, with `log`, and `misbehaved`: see
        `probe_ends.what_to_do`, or `hint`. `none`: the probe ran well, and does not measure this part.
        """
        self._program.wait(lambda: watch(self._present()))
        whole, problem = _read(self._folder.out / ANSWER)
        return {part: self._answer(part, whole, problem) for part in self._parts}

    def _answer(self, part: str, whole: Answer, whole_problem: str) -> Answer:
        alone, problem = _read(self._folder.out / PARTS / f"{part}.json")
        for answer in (whole.get(part), alone):
            if isinstance(answer, dict) and answer:
                return answer
        begun = (self._folder.out / PARTS / f"{part}.log").exists()
        log = _tail(self._folder.out / PARTS, f"{part}.log") if begun else _tail(self._folder.folder, OUTPUT)
        ended_well = not how_failed(self._program)
        if part in whole and not problem:
            problem = tr("the probe's answer for {part} is not an object with values", part=part)
        if ended_well and (problem or whole_problem):
            return {"missing": problem or whole_problem, "log": log, "hint": SEE}
        if begun:
            return {"crashed": {"reason": self._ended()}, "log": log}
        if whole.get("error"):
            return {"missing": str(whole["error"])[:LONGEST_ERROR], "log": []}
        if ended_well:
            return {
                "missing": tr("the probe answers nothing for {part}", part=part),
                "log": log,
                "hint": SEE,
                "none": True,
            }
        return {"missing": self._ended(), "log": log, "misbehaved": self._misbehaved()}

    def _misbehaved(self) -> bool:
        """Did the probe run, and break a limit or die of a signal? Then it is there, and something is wrong with it."""
        program = self._program
        return program.started and (bool(program.problem) or (program.code or 0) < 0)

    def _ended(self) -> str:
        """How the probe as a whole ended."""
        return how_failed(self._program) or tr("the probe did not measure this part")

    def _present(self) -> str:
        """The part that is being measured; the last one of several."""
        folder = self._folder.out / PARTS
        begun = [part for part in self._parts if (folder / f"{part}.log").exists()]
        return next((part for part in reversed(begun) if not (folder / f"{part}.json").exists()), "")


@contextmanager
def measuring(layout: Layout, runbook: Runbook, request: MeasureRequest) -> Iterator[Measuring]:
    """Start the probe; other things can be observed until its answers are collected. After the block no process of it
    is left. Raises Inconclusive where the scratch folder can't be written, and where the runbook names no probe."""
    if not runbook.trainer.probe:
        raise missing_parts.probe()
    limit_s, memory_mb = runbook.checks.probe_limit_s, math.ceil(available_mb() * SHARE)
    with scratch(layout) as folder, ExitStack() as stack:
        with preparing():
            program = stack.enter_context(
                supervised(
                    _command(runbook, request, folder, memory_mb),
                    cwd=layout.root,
                    env={**environment(layout.root), "TMPDIR": str(folder.out)},
                    output=folder.folder / OUTPUT,
                    limits=Limits(seconds=limit_s * (len(request.parts) + 1), memory_mb=memory_mb),
                )
            )
        yield Measuring(program, folder, request.parts)


def _command(runbook: Runbook, request: MeasureRequest, folder: Scratch, memory_mb: int) -> list[str]:
    """The probe's command line. Raises OSError where a file for it can't be written."""
    options = ["--steps", str(request.steps), "--pairs", str(request.pairs)]
    options += ["--limit-s", f"{runbook.checks.probe_limit_s:g}", "--memory-mb", str(memory_mb)]
    options += ["--parts", str(folder.out / PARTS), "--out", str(folder.out / ANSWER)]
    chosen = request.checkpoint or ("last" if request.newest else "")
    options += ["--checkpoint", chosen] if chosen else []
    for part in request.parts:
        options += ["--part", part]
    for number, config in enumerate(request.configs):
        options += ["--config", folder.put(f"config-{number}.yaml", config)]
    for name in () if request.configs else runbook.files.configs:
        options += ["--config", name]
    for number, text in enumerate((request.baseline_configs or {}).values()):
        options += ["--baseline-config", folder.put(f"baseline-{number}.yaml", text.encode())]
    return [*(argument.replace("{python}", sys.executable) for argument in runbook.trainer.probe), "verify", *options]


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """(the JSON object in a file of the probe, why it can't be read). Empty where there is no file."""
    try:
        data = read_bytes(path, LARGEST + 1)
        if len(data) > LARGEST:
            limit = LARGEST >> 20
            return {}, tr("the probe's answer {file} is larger than {limit} MiB", file=path.name, limit=limit)
        value = json.loads(data)
    except (FileNotFoundError, NotADirectoryError):
        return {}, ""
    except (OSError, HostError) as error:
        return {}, tr("the probe's answer {file} can't be read: {reason}", file=path.name, reason=reason(error))
    except (ValueError, RecursionError) as error:
        text = str(error)[:LONGEST_ERROR] if isinstance(error, ValueError) else tr("it is nested too deeply")
        return {}, tr("the probe's answer {file} is not valid JSON: {reason}", file=path.name, reason=text)
    if not isinstance(value, dict):
        return {}, tr(
            "the probe's answer {file} is not an object, but {kind}", file=path.name, kind=type(value).__name__
        )
    return value, ""


def _tail(folder: Path, name: str) -> list[str]:
    """The last lines of a log that are not empty."""
    lines = [line.rstrip()[:LOG_COLUMNS] for line in tail(folder, name, 4 * LOG_LINES) if line.strip()]
    return lines[-LOG_LINES:]
