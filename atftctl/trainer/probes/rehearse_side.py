"""One side of a rehearsal: a trainer in a scratch folder that takes a step when it is told to.

It reads requests from standard input and writes answers to standard output, each a line of JSON. Its last answer has
`exit_code` and `reason`, as the last event of a trainer has.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atftctl import protocol
from atftctl.protocol import TrainerExit

if TYPE_CHECKING:
    from atftctl.trainer.training.trainer import Trainer

EVALUATED = 20  # dates, for the memory that an evaluation takes
CARD_SHARE = 0.45  # of the free memory of a graphics card, for each side; the trainer in service keeps the rest
CHECKPOINTS = (protocol.LAST, protocol.PREVIOUS, protocol.BEST)
SHORT_OF_MEMORY = ("cannot allocate memory", "can't allocate memory", "failed to map segment")  # says the linker

Answer = Callable[[Mapping[str, Any]], None]


def main() -> int:
    """Carry out the requests; return 0 where the last answer was given."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers

    def answer(record: Mapping[str, Any]) -> None:
        answers.write(json.dumps(record).encode() + b"\n")
        answers.flush()

    request = json.loads(sys.stdin.readline())
    try:
        end = _train(request, answer)
    except (MemoryError, ImportError) as error:  # before the trainer itself could tell
        end = {"exit_code": int(_of_start(error)), "reason": f"{type(error).__name__}: {error}"[:300]}
    answer(end)
    return 0


def _of_start(error: Exception) -> TrainerExit:
    """The exit code for an error of an import."""
    short = isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in SHORT_OF_MEMORY)
    return TrainerExit.OUT_OF_MEMORY if short else TrainerExit.CRASHED


def _train(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """Train as told; return how it ended: `exit_code`, `reason`, and `peak` in MB."""
    from atftctl.trainer.runtime import card
    from atftctl.trainer.runtime.memory import PeakMemory, has_memory_limit, tune_allocator
    from atftctl.trainer.telemetry.recorder import Recorder
    from atftctl.trainer.training.exit_reasons import classify_exit

    if has_memory_limit():
        tune_allocator()
    card.limit_memory(CARD_SHARE)
    folder = Path(request["folder"])
    peak, on_card = PeakMemory(), dict[str, Any]()
    code, reason, recorder = TrainerExit.FINISHED, "", None
    try:
        with peak:
            trainer = _make(request, folder)
            recorder = trainer.recorder
            _obey(trainer, request, answer)
            on_card = card.peak_reserved(trainer.group.device)
    except Exception as error:  # noqa: BLE001 - each kind has its exit code
        code, reason = classify_exit(error, recorder or Recorder(folder, ()))
        if _is_disk_full(error):
            code = TrainerExit.SAVE_FAILED
        reason = reason.replace(f"{folder}{os.sep}", "")
    return {
        "exit_code": int(code),
        "reason": reason,
        "peak": {"data_mb": peak.data, "rss_anon_mb": peak.rss_anon, **on_card},
    }


def _is_disk_full(error: BaseException | None) -> bool:
    """Is this, or what it was raised for, a full disk?"""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _make(request: Mapping[str, Any], folder: Path) -> Trainer:
    """Make the trainer and load its checkpoint, a copy in the scratch folder. Raises what starting a trainer raises."""
    import torch

    from atftctl.trainer.probes.bench import Bench

    root = Path(request["root"])
    folder.mkdir(parents=True)
    bench = Bench(root, folder, [Path(path) for path in request["configs"]])
    run = folder / "run"
    if request["resume"] != "scratch":
        _copy_models(root, run, request["models"])
    torch.ones(256, 256) @ torch.ones(256, 256)  # creates the thread pool now, as a trainer does
    return bench.make(bench.configs, "run")


def _copy_models(root: Path, run: Path, planned: Mapping[str, str | None]) -> None:
    """Copy the checkpoints that the run may start from. `planned`: files in place of the project's; None for none.
    Raises FileNotFoundError where a planned one is gone: another one would be rehearsed in its place."""
    for name in CHECKPOINTS:
        source = planned.get(name, str(root / name))
        if source is None or (name not in planned and not Path(source).is_file()):
            continue
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, run / name)


def _obey(trainer: Trainer, request: Mapping[str, Any], answer: Answer) -> None:
    """Load the checkpoint, then do what each request says until the last one. Raises what training raises."""
    from atftctl.trainer.runtime import card

    card.reset_peak(trainer.group.device)
    source = trainer.resume(request["resume"])
    first, count = trainer.progress.step + 1, trainer.settings.training.dates_per_step
    position = (first - 1) * count
    ahead = [trainer.day_at(position + at) for at in range(request["dates_ahead"] * count)]
    about = {
        "source": source,
        "first_step": first,
        "dates_per_step": count,
        "dates": [trainer.dataset.panel.dates[day] for day in ahead],
        "loss": {name: value for name, value in trainer.settings.effective().items() if name.startswith("loss.")},
    }
    answer(about)
    days = {date: day for day, date in enumerate(trainer.dataset.panel.dates)}
    usable = {trainer.dataset.panel.dates[day] for day in trainer.dataset.split.train}
    taken = 0
    while (instruction := json.loads(sys.stdin.readline()))["do"] == "step":
        dates = instruction["dates"] if instruction["dates"] and usable.issuperset(instruction["dates"]) else None
        answer({**_step(trainer, [days[date] for date in dates or ()]), "same": bool(dates)})
        taken += 1
        if request["whole"] and taken == max(1, request["steps"] // 2):
            _evaluate(trainer)
    if request["whole"]:
        trainer.save(protocol.LAST, must=True)


def _step(trainer: Trainer, days: Sequence[int]) -> dict[str, Any]:
    """Train one step on these days, or on its own where there are none; return its row. Raises Ended."""
    begun = time.monotonic()
    number = trainer.progress.step + 1
    batch = [(at, trainer.dataset.day(day)) for at, day in enumerate(days)] if days else trainer.batch(number)
    result = trainer.train_step.run(trainer.parts, batch, number)
    trainer.progress.step = trainer.recorder.step = number
    return {
        "step": number,
        "loss": result.loss,
        "loss_rel": result.relative,
        "grad_norm": result.grad_norm,
        "seconds": time.monotonic() - begun,
    }


def _evaluate(trainer: Trainer) -> None:
    """Evaluate on some dates, as a trainer does now and then. Raises Ended where a prediction is not finite."""
    if not trainer.evaluate(min(EVALUATED, trainer.settings.training.evaluate_dates)).finite:
        trainer.train_step.anomaly("prediction", float("nan"))


if __name__ == "__main__":
    sys.exit(main())
