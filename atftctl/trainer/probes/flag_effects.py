"""Effect probes: does each flag do what it is there for? Measured with the flag on and off, each in under a second.

In the project that the guide was written for, seven of eight flags had no reader in the code: rolling them back
changed nothing, and nothing reported it. These probes find such a flag.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from atftctl.trainer.config.settings import Settings
from atftctl.trainer.probes import model_effects, run_effects
from atftctl.trainer.probes.lab import Lab, NotApplicable, Observation

ACTS, DOES_NOT_ACT, NOT_APPLICABLE = "acts", "does not act", "not applicable"

Probe = tuple[str, Callable[[Settings], bool], Callable[[Lab], Observation]]  # keys, is it on, its measurement
PROBES: tuple[Probe, ...] = (
    (
        "improvements.output_head_small_init",
        lambda settings: settings.improvements.output_head_small_init,
        model_effects.small_init,
    ),
    (
        "improvements.gat_temperature",
        lambda settings: settings.improvements.gat_temperature != 1.0,
        model_effects.gat_temperature,
    ),
    (
        "improvements.freq_dropout_p",
        lambda settings: settings.improvements.freq_dropout_p > 0,
        model_effects.frequency_dropout,
    ),
    ("improvements.use_ema, ema.enabled", lambda settings: settings.ema_on, model_effects.ema),
    ("improvements.huber_loss, loss.type", lambda settings: settings.huber_on, model_effects.huber),
    (
        "improvements.online_normalization",
        lambda settings: settings.improvements.online_normalization,
        model_effects.online_normalization,
    ),
    ("data.memory_map", lambda settings: settings.data.memory_map, run_effects.memory_map),
    (
        "improvements.auto_recover_oom",
        lambda settings: settings.improvements.auto_recover_oom,
        run_effects.auto_recover_oom,
    ),
    ("improvements.enable_wandb", lambda settings: settings.improvements.enable_wandb, run_effects.enable_wandb),
    ("grad_scaler.init_scale", lambda settings: settings.grad_scaler.init_scale > 0, run_effects.grad_scaler),
    ("scheduler.warmup_steps", lambda settings: settings.scheduler.warmup_steps > 0, run_effects.warmup),
)


def effects(settings: Settings, scratch: Path) -> list[dict[str, Any]]:
    """Measure every flag; return one entry for each.

    An entry holds `flag` (its keys), `on`, `verdict`, what was measured `with` and `without` the flag, and `seconds`.
    """
    torch.set_num_threads(settings.training.threads)
    lab = Lab(settings, scratch)
    lab.trainer({}).evaluate(1)  # the first use of torch costs time that belongs to no flag
    return [_probe(lab, keys, is_on(settings), measure) for keys, is_on, measure in PROBES]


def _probe(lab: Lab, keys: str, on: bool, measure: Callable[[Lab], Observation]) -> dict[str, Any]:
    begun = time.monotonic()
    entry: dict[str, Any] = {"flag": keys, "on": on}
    try:
        observed = measure(lab)
        verdict = ACTS if observed.acts else DOES_NOT_ACT
        entry |= {"verdict": verdict, "with": observed.on, "without": observed.off}
    except NotApplicable as reason:
        entry |= {"verdict": NOT_APPLICABLE, "with": str(reason), "without": ""}
    except Exception as error:  # noqa: BLE001 - a flag whose code fails does not act
        entry |= {"verdict": DOES_NOT_ACT, "with": f"{type(error).__name__}: {error}"[:300], "without": ""}
    return entry | {"seconds": round(time.monotonic() - begun, 3)}
