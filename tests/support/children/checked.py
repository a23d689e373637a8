"""A trainer in plain Python for `trainer check`: it learns the mean of a random walk, exactly reproducible.

Words after its options make it a bad one: no-save (saves nothing when it is asked to stop), forgets (does not restore its momentum), anew (loads nothing), other-digest, deaf (no requests, no fence),
torn (overwrites its only checkpoint in place, slowly), mute (no protocol at all).
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from atftctl import protocol
from atftctl.protocol import generations
from atftctl.protocol.configs import load_settings
from atftctl.protocol.run_files import RunFiles

CONFIGS = ("configs/atft/config.yaml", "configs/atft/train/production.yaml")
LAST = Path(protocol.LAST)
bad = set(sys.argv[3:])
stop: list[int] = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
digest = protocol.config_digest(
    protocol.merge_settings(load_settings(Path(name).read_text()) or {} for name in CONFIGS)
)
files = RunFiles(Path(protocol.EVENTS), Path(protocol.METRICS), Path(protocol.HEARTBEAT),
                 run_id=os.environ.get(protocol.RUN_ID, ""), generation=generations.own(os.environ, Path()))  # fmt: skip
state = {"step": 0, "weight": 5.0, "momentum": 0.0}
if sys.argv[2] != "scratch" and "anew" not in bad and LAST.exists():
    state = json.loads(LAST.read_text())
    state["momentum"] *= "forgets" not in bad
kept = dict(state)


def say(event: str, **fields: object) -> None:
    if "mute" not in bad:
        files.step = state["step"]
        files.event(event, **fields)


def beat(section: str) -> None:
    if "mute" not in bad:
        files.step = state["step"]
        files.beat(section, 60.0)


def save(content: dict) -> None:
    beat("save")
    text = json.dumps(content)
    if "torn" in bad:
        with LAST.open("w") as file:
            for letter in text:
                file.write(letter)
                file.flush()
                time.sleep(0.02)
        return
    new = LAST.with_suffix(f".{os.getpid()}.tmp")
    new.write_text(text + " " * 100_000)
    time.sleep(0.1)
    if "deaf" not in bad and generations.newest(Path()) > files.generation > 0:
        return  # a newer trainer was started while this one wrote
    os.replace(new, LAST)


say(protocol.STARTED, digest="0" * 64 if "other-digest" in bad else digest, effective={"a": 1})
if "mute" not in bad:
    files.begin_metrics(["step", "loss_rel", "rankic_h1", "rss_mb", "step_s", "grad_norm"])
first = True
code = 10
while not stop:
    if "deaf" not in bad and generations.newest(Path()) > files.generation > 0:
        say(protocol.FENCED, message="a newer trainer was started", newer=generations.newest(Path()))
        code = 17
        break
    state["step"] += 1
    rng = random.Random(state["step"])
    gradient = state["weight"] - rng.random()
    state["momentum"] = 0.9 * state["momentum"] + gradient
    state["weight"] -= 0.01 * state["momentum"]
    time.sleep(0.01)
    if "mute" not in bad:
        files.rows([{"step": state["step"], "loss_rel": gradient * gradient, "rankic_h1": 0.1, "rss_mb": 10, "step_s": 0.01,
                     "grad_norm": abs(gradient)}])  # fmt: skip
    if first:
        say(protocol.FIRST_STEP, digest="0" * 64 if "other-digest" in bad else digest, loss=gradient * gradient)
        first = False
    beat("step")
    if state["step"] % 40 == 0:
        beat("evaluate")
        time.sleep(0.05)
        kept = dict(state)
        save(kept)
    request = Path(protocol.REQUEST)
    if "deaf" not in bad and request.exists():
        say(protocol.RELOADED, request=json.loads(request.read_text())["id"], digest=digest, effective={"a": 1})
        request.unlink(missing_ok=True)
if code == 10 and "no-save" not in bad:
    save(state)
say(protocol.STOPPED, exit_code=code, reason="asked")
sys.exit(code)
