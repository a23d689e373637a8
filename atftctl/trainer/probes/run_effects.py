"""Measurements of the flags that change how a run is carried out: memory, recovery, dashboards, optimiser."""

from __future__ import annotations

import dataclasses
import math

from atftctl.trainer.config import settings as settings_module
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.errors import Ended
from atftctl.trainer.probes.lab import Lab, NotApplicable, Observation
from atftctl.trainer.runtime.memory import anonymous_mb_at
from atftctl.trainer.telemetry.dashboards import open_dashboards
from atftctl.trainer.telemetry.recorder import Recorder

DEFAULT_WARMUP = 100  # steps that are measured where the project has no warm-up


def memory_map(lab: Lab) -> Observation:
    """How much of 14 MB of features is in anonymous memory after all of them were read."""
    data = dataclasses.replace(lab.settings.data, synthetic=settings_module.Synthetic(seed=1, stocks=200, days=500))

    def anonymous_mb(mapped: bool) -> tuple[float, float]:
        features = Dataset(dataclasses.replace(data, memory_map=mapped), lab.scratch / "cache").features
        features.sum()
        size_mb = features.nbytes / (1 << 20)
        return min(anonymous_mb_at(features.ctypes.data), size_mb), size_mb

    (on, size_mb), (off, _) = anonymous_mb(True), anonymous_mb(False)
    text = f"{on:.1f} of {size_mb:.1f} MB of features in anonymous memory"
    return Observation(text, f"{off:.1f}", off - on > 0.5 * size_mb)


def auto_recover_oom(lab: Lab) -> Observation:
    """Whether a step survives when memory runs out once, in the encoder."""

    def survives(on: bool) -> bool:
        trainer = lab.trainer({"improvements.auto_recover_oom": on})
        failures = [1]

        def fail_once(*_: object) -> None:
            if failures:
                failures.pop()
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory (injected by the probe)")

        trainer.parts.model.encoder.register_forward_pre_hook(fail_once)
        trainer.recorder.log.disabled = True  # the failure is intended
        try:
            return math.isfinite(trainer.next_step().loss)
        except Ended:
            return False
        finally:
            trainer.recorder.log.disabled = False

    on, off = survives(True), survives(False)
    texts = {True: "an injected out of memory survived", False: "an injected out of memory ends the run"}
    return Observation(texts[on], texts[off], on and not off)


def enable_wandb(lab: Lab) -> Observation:
    """Number of offline runs that are written. Raises NotApplicable where wandb is not installed."""
    import importlib.util

    if importlib.util.find_spec("wandb") is None:
        raise NotApplicable("wandb is not installed: pip install 'atftctl[wandb]'")

    def runs(on: bool) -> int:
        root = lab.scratch / f"wandb-{on}"
        root.mkdir()
        settings = lab.with_values({"improvements.enable_wandb": on})
        for board in open_dashboards(settings, root, Recorder(root, (1,))):
            board.log({"loss": 1.0}, 1)
            board.close()
        return len(list(root.rglob("*.wandb")))

    on, off = runs(True), runs(False)
    return Observation(f"{on} offline run", f"{off}", on == 1 and off == 0)


def grad_scaler(lab: Lab) -> Observation:
    """The gradient scaler's first scale. Raises NotApplicable without CUDA."""
    if lab.group.device.type != "cuda":
        raise NotApplicable("fp16 and its scaler are used on CUDA only; this machine trains in float32 on the CPU")

    def scale(value: float) -> float:
        return float(lab.trainer({"grad_scaler.init_scale": value}).parts.scaler.get_scale())

    value = lab.real.grad_scaler.init_scale
    on, other = scale(value), scale(2 * value)
    acts = on == value and other == 2 * value
    return Observation(f"first scale {on:g}", f"{other:g} where {2 * value:g} is set", acts)


def warmup(lab: Lab) -> Observation:
    """The optimiser's learning rate after step 10, or after the last step of a shorter warm-up."""
    steps = lab.real.scheduler.warmup_steps or DEFAULT_WARMUP
    at = min(10, max(1, steps - 1))

    def rate(warmup_steps: int) -> float:
        trainer = lab.trainer({"scheduler.warmup_steps": warmup_steps})
        for _ in range(at):
            trainer.next_step()
        return float(trainer.parts.optimizer.param_groups[0]["lr"])

    on, off = rate(steps), rate(0)
    return Observation(f"learning rate {on:.1e} at step {at}", f"{off:.1e}", on < off)
