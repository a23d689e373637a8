"""The trainer's command line: `python -m atftctl.trainer train|probe|validate|damage`, run in the project's folder."""

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
from atftctl.trainer.probes.answer import measure_or_error, write_answer
from atftctl.trainer.runtime.stop_requests import StopRequests

if TYPE_CHECKING:
    from atftctl.trainer.telemetry.recorder import Recorder

CONFIGS = ("configs/atft/config.yaml", "configs/atft/train/production.yaml")


def main() -> int:
    """Run the verb of the command line; return the exit code."""
    arguments = _parser().parse_args()
    configs = [Path(path) for path in arguments.config or CONFIGS]
    if arguments.verb == "validate":
        return validate(configs)
    if arguments.verb == "probe":
        write_answer(measure_or_error(lambda: _run_probe(arguments, configs)), Path(arguments.out))
        return TrainerExit.FINISHED
    if arguments.verb == "damage":
        return damage(Path(arguments.root).absolute(), arguments.kind, arguments.times)
    return train(configs, Path(arguments.root).absolute(), arguments.resume)


def damage(root: Path, kind: str, times: float) -> int:
    """Damage the newest checkpoint, in a drill; return the exit code."""
    from atftctl.trainer.errors import CheckpointError, SettingsError
    from atftctl.trainer.probes import drill_faults

    try:
        drill_faults.damage(root, kind, times)
    except (SettingsError, CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return TrainerExit.BAD_SETTINGS if isinstance(error, SettingsError) else TrainerExit.BAD_CHECKPOINT
    return TrainerExit.FINISHED


def validate(configs: list[Path]) -> int:
    """Check whether these settings can be trained with; return the exit code.

    Prints a JSON object with `valid` (true or false) and `problems` (sentences). Does not import torch.
    """
    from atftctl.trainer.config.settings import load
    from atftctl.trainer.errors import SettingsError

    try:
        load(configs)
    except SettingsError as error:
        print(json.dumps({"valid": False, "problems": [str(error)]}, ensure_ascii=False))
        return TrainerExit.BAD_SETTINGS
    print(json.dumps({"valid": True, "problems": []}))
    return TrainerExit.FINISHED


def _run_probe(arguments: argparse.Namespace, configs: list[Path]) -> dict[str, Any]:
    if arguments.kind == "tensors":
        from atftctl.trainer.probes.tensor_diff import compare

        old, new = (Path(name) for name in arguments.file)
        return compare(old, new)
    if arguments.kind == "rehearse":
        return _rehearse(arguments, configs)
    from atftctl.trainer.probes import measure
    from atftctl.trainer.probes.side_by_side import Request

    baseline = [Path(name) for name in arguments.baseline_config or ()]
    request = Request(
        arguments.part,
        arguments.steps,
        arguments.dates,
        Path(arguments.parts) if arguments.parts else None,
        arguments.limit_s,
        arguments.memory_mb,
        arguments.checkpoint,
    )
    if arguments.kind == "grade":
        return measure.grade_checkpoint(
            Path(arguments.root).absolute(), configs, Path(arguments.file[0]), request, train=not arguments.only_load
        )
    return measure.run(arguments.kind, Path(arguments.root).absolute(), configs, baseline, request)


def _rehearse(arguments: argparse.Namespace, configs: list[Path]) -> dict[str, Any]:
    """Train with --config and with --baseline-config in turns. Does not import torch."""
    import tempfile

    from atftctl.trainer.probes.rehearse import Rehearsal, rehearse

    models = {name: source or None for name, _, source in (text.partition("=") for text in arguments.model)}
    request = Rehearsal(
        Path(arguments.root).absolute(),
        configs,
        [Path(name) for name in arguments.baseline_config or CONFIGS],
        arguments.steps,
        arguments.resume,
        models,
        arguments.limit_s,
        arguments.memory_limit_mb,
    )
    with tempfile.TemporaryDirectory(prefix="atftctl-rehearsal-") as scratch:
        return rehearse(request, Path(scratch))


def train(configs: list[Path], root: Path, resume: str) -> int:
    """Train until the run ends; return the exit code.

    Every end except a kill is recorded by a last event with the exit code and the reason. `resume` is "last", "best" or
    "scratch".
    """
    begun = time.monotonic()
    requests = StopRequests(root, os.environ.get(protocol.RUN_ID, ""))
    import torch

    from atftctl.trainer.config import settings as settings_module
    from atftctl.trainer.errors import Ended, FencedError, SettingsError
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
        torch.ones(256, 256) @ torch.ones(256, 256)  # creates the thread pool now, while there is memory for it
        recorder.log.info("starting; imports took %.1f s", imports)
        with Heartbeat(root, recorder) as heartbeat:
            trainer = Trainer(settings, digest, root, recorder, group=ProcessGroup(), heartbeat=heartbeat)
            trainer.seconds = {"import": imports, **trainer.seconds}
            trainer.run(resume, requests, lambda: settings_module.load(configs))
    except Exception as error:  # noqa: BLE001 - each kind has its exit code
        return _record_exit(
            *classify_exit(error, recorder), recorder, everywhere=isinstance(error, Ended | SettingsError | FencedError)
        )
    raise AssertionError("a run always ends with Ended")


def _record_exit(code: TrainerExit, reason: str, recorder: Recorder, *, everywhere: bool) -> int:
    """Write the last event and return the exit code.

    `everywhere`: all processes end for this reason. If only one does, the main process may not know of it, so the
    process writes the event itself. When several processes end well, each exits with 0: torchrun takes any other code
    for a failure and kills the rest.
    """
    write_event = recorder.event if everywhere else recorder.any_rank_event
    write_event(protocol.STOPPED, exit_code=int(code), reason=reason)
    recorder.log.info("stopped: %s (exit %d)", reason, code)
    ended_well = code in (TrainerExit.FINISHED, TrainerExit.STOPPED)
    return 0 if ended_well and int(os.environ.get("WORLD_SIZE", "1")) > 1 else int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m atftctl.trainer", description="The ATFT-GAT-FAN trainer")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("train", "probe", "validate"):
        verb = verbs.add_parser(name)
        verb.add_argument(
            "--root", default=".", help="the run folder, which holds logs/ and models/ (default: the current folder)"
        )
        verb.add_argument(
            "--config",
            action="append",
            help=f"config file; repeatable, later files override earlier ones (default: {', '.join(CONFIGS)})",
        )
    verbs.choices["train"].add_argument(
        "--resume", choices=("last", "best", "scratch"), default="last", help="checkpoint to start from (default: last)"
    )
    _add_damage(verbs.add_parser("damage"))
    measure = verbs.choices["probe"]
    measure.add_argument("kind", choices=("verify", "memory", "run", "effects", "tensors", "grade", "rehearse"))
    measure.add_argument(
        "--file",
        action="append",
        default=[],
        help="for tensors: a checkpoint; give the old one first, then the new one. For grade: the checkpoint",
    )
    measure.add_argument("--out", required=True, help="file to write the measurements to, as JSON")
    measure.add_argument(
        "--baseline-config",
        action="append",
        help="config file of the baseline; repeatable. Its step times are measured in turns with those of --config",
    )
    measure.add_argument("--steps", type=int, default=60, help="steps to measure (default: 60)")
    measure.add_argument("--only-load", action="store_true", help="for grade: take no steps")
    _add_verify_options(measure)
    _add_rehearse_options(measure)
    return parser


def _add_damage(verb: argparse.ArgumentParser) -> None:
    """Add the arguments of `damage`, which only a drill runs."""
    verb.add_argument("kind", choices=("momentum", "noise"), help="what is changed in the newest checkpoint")
    verb.add_argument("--times", type=float, default=1.0, help="by how much")
    verb.add_argument("--root", default=".", help="the run folder (default: the current folder)")
    verb.set_defaults(config=None)


def _add_rehearse_options(measure: argparse.ArgumentParser) -> None:
    """Add the options of `probe rehearse`."""
    measure.add_argument(
        "--resume", choices=("last", "best", "scratch"), default="last", help="for rehearse: checkpoint to start from"
    )
    measure.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="PATH=FILE",
        help="for rehearse: read FILE in place of this checkpoint of the project; repeatable",
    )
    measure.add_argument(
        "--memory-limit-mb", type=int, default=0, help="for rehearse: RLIMIT_DATA of each side (default: none)"
    )


def _add_verify_options(measure: argparse.ArgumentParser) -> None:
    """Add the options of `probe verify`."""
    measure.add_argument("--part", action="append", default=[], help="part to measure; repeatable (default: all)")
    measure.add_argument("--parts", default="", help="folder for the answer and the log of each part")
    measure.add_argument("--pairs", "--dates", dest="dates", type=int, default=0, help="dates to evaluate on (0: all)")
    measure.add_argument(
        "--limit-s", type=float, default=0.0, help="time limit of each part in seconds (default: none)"
    )
    measure.add_argument(
        "--memory-mb", type=int, default=0, help="memory for all parts that run side by side (default: no limit)"
    )
    measure.add_argument(
        "--checkpoint", default="best", help="checkpoint to measure: best, last or a path (default: best)"
    )


if __name__ == "__main__":
    sys.exit(main())
