"""`python -m atftctl.trainer train|probe`: the trainer's command line. Run in the project's folder."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from atftctl import protocol
from atftctl.protocol import TrainerExit

CONFIGS = ("configs/atft/config.yaml", "configs/atft/train/production.yaml")


class Stopping:
    """SIGTERM asks: the step at hand is finished and saved. A second SIGTERM asks no louder."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def main() -> int:
    arguments = _parser().parse_args()
    configs = [Path(one) for one in arguments.config or CONFIGS]
    if arguments.verb == "probe":
        from atftctl.trainer import probe

        baseline = [Path(one) for one in arguments.baseline_config or ()]
        probe.write(probe.run(arguments.kind, Path(arguments.root).absolute(), configs, baseline, arguments.steps), Path(arguments.out))
        return TrainerExit.FINISHED
    return train(configs, Path(arguments.root).absolute(), arguments.resume)


def train(configs: list[Path], root: Path, resume: str) -> int:
    """Every way out but a kill leaves a last event with the exit code and the reason."""
    begun = time.monotonic()
    stopping = Stopping()
    import torch

    from atftctl.trainer import settings as settings_module
    from atftctl.trainer.checkpoint import CheckpointError
    from atftctl.trainer.data.panel import DataError
    from atftctl.trainer.loop import Ended, Trainer
    from atftctl.trainer.memory import is_out_of_memory
    from atftctl.trainer.record import Recorder

    try:
        settings, digest = settings_module.load(configs)
    except settings_module.SettingsError as error:
        return _end(Recorder(root, ()), TrainerExit.BAD_SETTINGS, str(error))
    recorder = Recorder(root, settings.data.horizons)
    torch.set_num_threads(settings.training.threads)
    torch.ones(256, 256) @ torch.ones(256, 256)  # the thread pool, before memory may be too short to make one
    recorder.log.info("starting; imports took %.1f s", time.monotonic() - begun)
    try:
        Trainer(settings, digest, root, recorder).run(resume, stopping)
    except Ended as ended:
        return _end(recorder, ended.code, ended.reason)
    except DataError as error:
        return _end(recorder, TrainerExit.BAD_DATA, str(error))
    except CheckpointError as error:
        return _end(recorder, TrainerExit.BAD_CHECKPOINT, str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            recorder.log.exception("crashed")
            return _end(recorder, TrainerExit.CRASHED, f"{type(error).__name__}: {error}")
        recorder.event(protocol.OOM, message=str(error)[:300], section="outside a step", recoverable=False)
        return _end(recorder, TrainerExit.OUT_OF_MEMORY, str(error)[:300])
    except Exception as error:
        recorder.log.exception("crashed")
        return _end(recorder, TrainerExit.CRASHED, f"{type(error).__name__}: {error}")
    return TrainerExit.CRASHED  # a run always ends with Ended


def _end(recorder: Any, code: TrainerExit, reason: str) -> int:
    recorder.event(protocol.STOPPED, exit_code=int(code), reason=reason)
    recorder.log.info("stopped: %s (exit %d)", reason, code)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m atftctl.trainer", description="The ATFT-GAT-FAN trainer")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("train", "probe"):
        verb = verbs.add_parser(name)
        verb.add_argument("--root", default=".", help="the run folder: logs/ and models/ are below it")
        verb.add_argument("--config", action="append", help=f"config files, laid over each other (default {', '.join(CONFIGS)})")
    verbs.choices["train"].add_argument("--resume", choices=("last", "best", "scratch"), default="last")
    probe = verbs.choices["probe"]
    probe.add_argument("kind", choices=("verify", "memory"))
    probe.add_argument("--out", required=True, help="where the measurements go, as JSON")
    probe.add_argument("--baseline-config", action="append", help="the baseline's config files, for step times taken in turns")
    probe.add_argument("--steps", type=int, default=60)
    return parser


if __name__ == "__main__":
    sys.exit(main())
