"""`python -m atftctl.trainer train|probe|validate`: the trainer's command line. Run in the project's folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.probes.answer import caught, write
from atftctl.trainer.runtime.stop_requests import StopRequests

if TYPE_CHECKING:
    from atftctl.trainer.telemetry.recorder import Recorder

CONFIGS = ("configs/atft/config.yaml", "configs/atft/train/production.yaml")


def main() -> int:
    arguments = _parser().parse_args()
    configs = [Path(one) for one in arguments.config or CONFIGS]
    if arguments.verb == "validate":
        return validate(configs)
    if arguments.verb == "probe":
        write(caught(lambda: _measure(arguments, configs)), Path(arguments.out))
        return TrainerExit.FINISHED
    return train(configs, Path(arguments.root).absolute(), arguments.resume)


def validate(configs: list[Path]) -> int:
    """Can these settings be trained with? A JSON object on standard output: `valid`, and `problems` as sentences.
    Imports no torch."""
    from atftctl.trainer.config.settings import load
    from atftctl.trainer.errors import SettingsError

    try:
        load(configs)
    except SettingsError as error:
        print(json.dumps({"valid": False, "problems": [str(error)]}, ensure_ascii=False))
        return TrainerExit.BAD_SETTINGS
    print(json.dumps({"valid": True, "problems": []}))
    return TrainerExit.FINISHED


def _measure(arguments: argparse.Namespace, configs: list[Path]) -> dict[str, Any]:
    if arguments.kind == "tensors":
        from atftctl.trainer.probes.tensor_diff import compare

        old, new = (Path(name) for name in arguments.file)
        return compare(old, new)
    from atftctl.trainer.probes import measure

    baseline = [Path(name) for name in arguments.baseline_config or ()]
    return measure.run(arguments.kind, Path(arguments.root).absolute(), configs, baseline, arguments.steps)


def train(configs: list[Path], root: Path, resume: str) -> int:
    """Every way out but a kill leaves a last event with the exit code and the reason."""
    begun = time.monotonic()
    requests = StopRequests(root, os.environ.get(protocol.RUN_ID, ""))
    import torch

    from atftctl.trainer.config import settings as settings_module
    from atftctl.trainer.errors import Ended, SettingsError
    from atftctl.trainer.runtime.distributed import ProcessGroup
    from atftctl.trainer.runtime.memory import has_memory_limit, tune_allocator
    from atftctl.trainer.telemetry.heartbeat import Heartbeat
    from atftctl.trainer.telemetry.recorder import Recorder
    from atftctl.trainer.training.exit_reasons import classify_exit
    from atftctl.trainer.training.trainer import Trainer

    imports = time.monotonic() - begun
    rank = int(os.environ.get("RANK", "0"))
    recorder = Recorder(root, (), rank=rank)
    try:
        settings, digest = settings_module.load(configs)
        recorder = Recorder(root, settings.data.horizons, rank=rank)
        if has_memory_limit():
            tune_allocator()
        torch.set_num_threads(settings.training.threads)
        torch.ones(256, 256) @ torch.ones(256, 256)  # the thread pool, before memory may be too short to make one
        recorder.log.info("starting; imports took %.1f s", imports)
        with Heartbeat(root, recorder) as heartbeat:
            trainer = Trainer(settings, digest, root, recorder, group=ProcessGroup(), heartbeat=heartbeat)
            trainer.seconds = {"import": imports, **trainer.seconds}
            trainer.run(resume, requests, lambda: settings_module.load(configs))
    except Exception as error:  # noqa: BLE001 - each kind has its exit code
        return _last_word(*classify_exit(error, recorder), recorder, together=isinstance(error, Ended | SettingsError))
    raise AssertionError("a run always ends with Ended")


def _last_word(code: TrainerExit, reason: str, recorder: Recorder, *, together: bool) -> int:
    """The last event, and the exit code. Of several processes that end well together each leaves with 0: torchrun
    takes anything else for a failure and kills the rest."""
    say = recorder.event if together else recorder.any_rank_event  # the lead may know nothing of what befell another
    say(protocol.STOPPED, exit_code=int(code), reason=reason)
    recorder.log.info("stopped: %s (exit %d)", reason, code)
    well = code in (TrainerExit.FINISHED, TrainerExit.STOPPED)
    return 0 if well and int(os.environ.get("WORLD_SIZE", "1")) > 1 else int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m atftctl.trainer", description="The ATFT-GAT-FAN trainer")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("train", "probe", "validate"):
        verb = verbs.add_parser(name)
        verb.add_argument("--root", default=".", help="the run folder: logs/ and models/ are below it")
        verb.add_argument(
            "--config",
            action="append",
            help=f"config files, laid over each other (default {', '.join(CONFIGS)})",
        )
    verbs.choices["train"].add_argument("--resume", choices=("last", "best", "scratch"), default="last")
    measure = verbs.choices["probe"]
    measure.add_argument("kind", choices=("verify", "memory", "run", "effects", "tensors"))
    measure.add_argument("--file", action="append", default=[], help="of tensors: the two checkpoints, old and new")
    measure.add_argument("--out", required=True, help="where the measurements go, as JSON")
    measure.add_argument(
        "--baseline-config",
        action="append",
        help="the baseline's config files, for step times taken in turns",
    )
    measure.add_argument("--steps", type=int, default=60)
    return parser


if __name__ == "__main__":
    sys.exit(main())
