"""A stand-in trainer that speaks the protocol without torch: it starts in 50 ms, and misbehaves on request.

The file `behaviour` in the run folder says how, one word per line: ignore-term, fork, double-fork, die, silent,
other-digest, oom, slow-stop, deaf, refuses, pause-save (it stops itself, by SIGSTOP, between writing a checkpoint and
renaming it). While the config has a value: bad-if:KEY=VALUE (the loss becomes NaN), gone-if:KEY=VALUE (it exits without
a word after 25 steps), steep-if:KEY=VALUE (its gradients explode after 25 steps), oom-if:KEY=VALUE (out of memory after
25 steps). go-on: its steps are counted on from those of the run before. lightning, jsonl, tensorboard, huggingface: metrics are
written in this format (see metric_writers.py) in place of the CSV.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from atftctl import protocol
from atftctl.protocol import generations

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 20 times as fast
FORMATS = {"lightning", "jsonl", "tensorboard", "huggingface"}
CONFIGS = ("configs/atft/config.yaml", "configs/atft/train/production.yaml")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb")
    parser.add_argument("--resume", default="last")
    arguments = parser.parse_args()
    behaviour = Path("behaviour").read_text().split() if Path("behaviour").exists() else []
    for name in (protocol.EVENTS, protocol.BEST):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "ignore-term" in behaviour else lambda *_: stopping.append(1))
    settings = protocol.merge_settings(yaml.load(Path(name).read_text("utf-8-sig"), Loader) or {} for name in CONFIGS)
    digest = protocol.config_digest(settings)
    if "other-digest" in behaviour:
        digest = "0" * 64
    step = begun = reached() if "go-on" in behaviour else 0

    def say(event: str, **fields: object) -> None:
        line = protocol.event_line(
            event, t=time.time(), pid=os.getpid(), run_id=os.environ.get(protocol.RUN_ID, ""), step=step,
            generation=generations.own(os.environ, Path()), **fields,
        )  # fmt: skip
        with open(protocol.EVENTS, "ab") as file:
            file.write(line)

    if "die" in behaviour:
        print("standin: told to die", flush=True)
        return 1
    spawn(behaviour)
    say(protocol.STARTED, digest=digest, effective=flat(settings), resumed_from=arguments.resume)
    bad, gone, steep, full = (
        next((word for word in behaviour if word.startswith(kind) and has_value(settings, word[len(kind) :])), "")
        for kind in ("bad-if:", "gone-if:", "steep-if:", "oom-if:")
    )

    def out_of_memory() -> int:
        say(protocol.OOM, message="no memory", section="step", recoverable=False)
        say(protocol.STOPPED, exit_code=int(protocol.TrainerExit.OUT_OF_MEMORY), reason="no memory")
        return protocol.TrainerExit.OUT_OF_MEMORY

    if "oom" in behaviour:
        return out_of_memory()
    number, root = generations.own(os.environ, Path()), Path()
    known = number or generations.newest(root)

    def leave() -> int:
        say(protocol.FENCED, message="a newer trainer was started", newer=generations.newest(root))
        say(protocol.STOPPED, exit_code=int(protocol.TrainerExit.FENCED), reason="a newer trainer was started")
        return protocol.TrainerExit.FENCED

    while not stopping:
        if generations.newest(root) > known:
            return leave()
        step += 1
        if step == begun + 1 and "silent" not in behaviour:
            say(protocol.FIRST_STEP, digest=digest, loss=1.0, step_s=0.01)
        late = step > begun + 25
        values = {"loss": float("nan") if bad and step > 20 else 1.0, "grad_norm": 50.0 if steep and late else 0.5}
        if FORMATS.isdisjoint(behaviour):
            record(step, **values)
        else:
            from tests.support.children.metric_writers import write

            write(FORMATS.intersection(behaviour).pop(), step, {**values, "loss_rel": values["loss"], "rss_mb": 100.0})
        if gone and late:
            os._exit(9)
        if full and late:
            return out_of_memory()
        if bad and step > 30:
            say(protocol.ANOMALY, quantity="loss", value="nan", message=bad)
            return protocol.TrainerExit.ANOMALY
        time.sleep(0.01)
        if "deaf" not in behaviour and Path(protocol.REQUEST).exists():
            answer(say, refuses="refuses" in behaviour)
    if "slow-stop" in behaviour:
        time.sleep(1)
    try:
        save(number, b"weights of step %d of pid %d" % (step, os.getpid()), pause="pause-save" in behaviour)
    except FileNotFoundError:
        return leave()
    say(protocol.STOPPED, exit_code=int(protocol.TrainerExit.STOPPED), reason="asked to stop")
    return protocol.TrainerExit.STOPPED


def save(number: int, weights: bytes, *, pause: bool) -> None:
    """Stage the checkpoint in the folder of this generation, and rename it from there."""
    folder = Path(protocol.STAGING, str(number)) if number else Path(protocol.LAST).parent
    staged = folder / f".last.pth.{os.getpid()}.tmp"
    staged.write_bytes(weights)
    if pause:
        os.kill(os.getpid(), signal.SIGSTOP)
    staged.replace(protocol.LAST)


def reached() -> int:
    """The last step of the run before."""
    rows = Path(protocol.METRICS).read_text().splitlines() if Path(protocol.METRICS).exists() else []
    return int(rows[-1].split(",")[0]) if len(rows) > 1 else 0


def has_value(settings: dict, word: str) -> bool:
    """Do the merged settings have KEY=VALUE?"""
    key, _, value = word.partition("=")
    current: object = settings
    for name in key.split("."):
        current = current.get(name) if isinstance(current, dict) else None
    return current == yaml.safe_load(value)


def record(step: int, *, loss: float, grad_norm: float) -> None:
    """Write a row of metrics as the trainer does."""
    path = Path(protocol.METRICS)
    with path.open("ab") as file:
        if not file.tell():
            file.write(b"step,epoch,loss,loss_rel,grad_norm,rss_mb,generation\n")
        file.write(f"{step},0,{loss},{loss},{grad_norm},100,{generations.own(os.environ, Path())}\n".encode())


def answer(say: Callable[..., None], *, refuses: bool) -> None:
    """Answer a request to load the current settings."""
    request = json.loads(Path(protocol.REQUEST).read_text())
    Path(protocol.REQUEST).unlink()
    if refuses:
        say(protocol.RELOAD_REFUSED, request=request["id"], message="told to refuse")
        return
    settings = protocol.merge_settings(yaml.load(Path(name).read_text("utf-8-sig"), Loader) or {} for name in CONFIGS)
    say(protocol.RELOADED, request=request["id"], digest=protocol.config_digest(settings), effective=flat(settings))


def flat(settings: dict, where: str = "") -> dict:
    """Map dotted keys to values as the real trainer reports them, with its two switches of EMA combined."""
    values: dict = {}
    for key, value in settings.items():
        values |= flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
    if not where:
        values["improvements.use_ema"] = bool(values.get("improvements.use_ema") and values.get("ema.enabled"))
    return values


def spawn(behaviour: list[str]) -> None:
    """Start children that a careless stop would leave behind: one in our session, one in a session of its own."""
    if "fork" in behaviour and os.fork() == 0:
        linger()
    if "double-fork" in behaviour and os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            linger()
        os._exit(0)


def linger() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(120)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
