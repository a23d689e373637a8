"""Effect probes: does each flag do what it is there for? Measured with the flag on and off, each in under a second.

In the project that the guide was written for, seven of eight flags had no reader in the code: rolling them back
changed nothing, and nothing told the operator (MODEL.md section 1). The measures are those of MODEL.md section 3.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atftctl.trainer.config import settings as settings_module
from atftctl.trainer.config.settings import Settings
from atftctl.trainer.data.dataset import Dataset, Day
from atftctl.trainer.errors import Ended
from atftctl.trainer.model.atft import ATFT
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.runtime.memory import anonymous_mb_at
from atftctl.trainer.telemetry.dashboards import open_dashboards
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training.loss import LossFunction
from atftctl.trainer.training.trainer import Trainer

ACTS, DOES_NOT_ACT, NOT_APPLICABLE = "acts", "does not act", "not applicable"
STOCKS, DAYS = 40, 160  # of the small market that most probes use
DRAWS = 20  # of frequency dropout's bands
SOME_TEMPERATURE, SOME_PROBABILITY, SOME_WARMUP = 0.5, 0.5, 100


class NotApplicable(Exception):  # noqa: N818 - a finding, not an error
    """The flag can do nothing on this machine; the message says why."""


@dataclass(frozen=True)
class Seen:
    """What was measured with the flag on and off, in words with the unit, and whether that is the flag's effect."""

    on: str
    off: str
    acts: bool


class Lab:
    """The project's settings on a small market, with one flag at a time changed."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        days = DAYS + 8 * max(0, *settings.data.horizons)  # splits leave a gap of the longest horizon
        synthetic = settings_module.Synthetic(seed=1, stocks=STOCKS, days=days)
        data = dataclasses.replace(
            settings.data, path=None, extra_features=(), train_end=None, validation_end=None,
            sequence_length=min(settings.data.sequence_length, 20), synthetic=synthetic, memory_map=False,
            graph=dataclasses.replace(settings.data.graph, neighbours=min(settings.data.graph.neighbours, STOCKS // 2)),
        )  # fmt: skip
        training = dataclasses.replace(settings.training, dates_per_step=1, tensorboard=False)
        self.real = settings
        self.settings = dataclasses.replace(settings, data=data, training=training)
        self.scratch = scratch
        self._runs = 0
        self.dataset = Dataset(data, scratch / "cache")
        self.group = ProcessGroup()

    def day(self) -> Day:
        return self.dataset.day(int(self.dataset.split.train[-1])).to(self.group.device)

    def with_values(self, values: Mapping[str, Any]) -> Settings:
        """The settings with these dotted keys changed."""
        found = self.settings
        for key, value in values.items():
            section, name = key.split(".")
            part = dataclasses.replace(getattr(found, section), **{name: value})
            found = dataclasses.replace(found, **{section: part})
        return found

    def trainer(self, values: Mapping[str, Any]) -> Trainer:
        self._runs += 1
        root = self.scratch / f"effect-{self._runs}"
        root.mkdir()
        settings = self.with_values({"improvements.enable_wandb": False, **values})
        return Trainer(settings, "", root, Recorder(root, settings.data.horizons), cache=self.scratch / "cache")


def _small_init(lab: Lab) -> Seen:
    def spread(on: bool) -> float:
        parts = lab.trainer({"improvements.output_head_small_init": on}).parts
        parts.model.eval()
        with torch.no_grad():
            return float(parts.model(lab.day()).std())

    on, off = spread(True), spread(False)
    return Seen(f"first predictions' std {on:.4f}", f"{off:.4f}", on < 0.5 * off)


def _temperature(lab: Lab) -> Seen:
    """Mean attention entropy of the first layer. The scores of fresh weights are small, so the inputs are scaled up."""

    def entropy(temperature: float) -> float:
        parts = lab.trainer({"improvements.gat_temperature": temperature}).parts
        parts.model.eval()
        day = lab.day()
        with torch.no_grad():
            h = 5 * parts.model.encode(parts.model.normalise(day.x), None)
            alpha, _ = parts.model.attention_layers[0].weights(h, day.neighbours, day.edges)
        return float(-(alpha * alpha.clamp(min=1e-12).log()).sum(dim=1).mean())

    set_to = lab.real.improvements.gat_temperature
    tau = set_to if set_to != 1.0 else SOME_TEMPERATURE
    on, off = entropy(tau), entropy(1.0)
    acts = on < off - 1e-4 if tau < 1 else on > off + 1e-4
    return Seen(f"attention entropy {on:.3f} at τ {tau:g}", f"{off:.3f} at τ 1", acts)


def _frequency_dropout(lab: Lab) -> Seen:
    """Share of the spectrum's energy that the drawn bands hold, and whether the model loses them: in training its
    output changes, in evaluation it does not, and with p = 0 it changes in neither."""
    p = lab.real.improvements.freq_dropout_p or SOME_PROBABILITY
    day = lab.day()

    def model_at(probability: float) -> ATFT:
        return lab.trainer({"improvements.freq_dropout_p": probability, "model.dropout": 0.0}).parts.model

    def changes_output(model: ATFT) -> bool:
        with torch.no_grad():
            still = model.eval()(day)
            repeated = torch.equal(still, model(day))
            torch.manual_seed(0)
            return repeated and not all(torch.equal(still, model.train()(day)) for _ in range(DRAWS))

    def energy(model: ATFT) -> float:
        if model.mask is None:
            return 0.0
        torch.manual_seed(0)
        x = model.normalise(day.x)
        spectrum = torch.fft.rfft(x, dim=1).abs().pow(2).sum(dim=-1)[:, 1:]  # without the mean, which always stays
        gone = sum((spectrum * (1 - model.mask(x)[:, 1:])).sum() for _ in range(DRAWS))
        return float(gone / (DRAWS * spectrum.sum()))

    with_it, without = model_at(p), model_at(0.0)
    on, off = energy(with_it), energy(without)
    acts = on > 0 and off == 0 and changes_output(with_it) and not changes_output(without)
    return Seen(f"{on:.2%} of the spectrum's energy gone in training", f"{off:.2%}", acts)


def _ema(lab: Lab) -> Seen:
    both = {"improvements.use_ema": True, "ema.enabled": True}
    trainer = lab.trainer(both)
    for _ in range(3):
        trainer.next_step()
    pairs = zip(trainer.parts.model.parameters(), trainer.parts.eval_model.parameters(), strict=True)
    apart = max(float((raw - averaged).detach().abs().max()) for raw, averaged in pairs)
    halves = [lab.trainer({**both, key: False}).parts.ema for key in both]
    return Seen(
        f"averaged weights up to {apart:.1e} from the raw ones", "no second set",
        apart > 0 and all(one is None for one in halves),
    )  # fmt: skip


def _huber(lab: Lab) -> Seen:
    """The gradient of one outlier, 100 standard deviations away. It saturates with both switches, and with no one
    alone."""

    def gradient(flag: bool, kind: str) -> float:
        values = {"improvements.huber_loss": flag, "loss.type": kind, "loss.rank_weight": 0.0}
        loss_function = LossFunction(lab.with_values(values))
        prediction = torch.zeros(10, len(lab.settings.data.horizons), requires_grad=True)
        target = torch.zeros_like(prediction)
        target[0] = 100.0
        (slope,) = torch.autograd.grad(loss_function(prediction, target).total, prediction)
        return float(slope.abs().max())

    on, off = gradient(True, "huber"), gradient(False, "mse")
    alone = (gradient(False, "huber"), gradient(True, "mse"))
    return Seen(f"an outlier's gradient {on:.3g}", f"{off:.3g}", on < 0.5 * off and alone == (off, off))


def _online(lab: Lab) -> Seen:
    def moved(on: bool) -> tuple[float, float]:
        trainer = lab.trainer({"improvements.online_normalization": on})
        mean = trainer.parts.model.normalise.mean
        start = mean.clone()
        trainer.evaluate(2)
        in_evaluation = float((mean - start).abs().max())
        trainer.next_step()
        return in_evaluation, float((mean - start).abs().max())

    (still, on), (_, off) = moved(True), moved(False)
    return Seen(f"running mean moves by {on:.1e} a step", f"{off:.1g}", on > 0 and off == 0 and still == 0)


def _memory_map(lab: Lab) -> Seen:
    """How much of 14 MB of features lies in anonymous memory, once all of them were read."""
    data = dataclasses.replace(lab.settings.data, synthetic=settings_module.Synthetic(seed=1, stocks=200, days=500))

    def held(mapped: bool) -> tuple[float, float]:
        features = Dataset(dataclasses.replace(data, memory_map=mapped), lab.scratch / "cache").features
        features.sum()
        size_mb = features.nbytes / (1 << 20)
        return min(anonymous_mb_at(features.ctypes.data), size_mb), size_mb

    (on, size_mb), (off, _) = held(True), held(False)
    words = f"{on:.1f} of {size_mb:.1f} MB of features in anonymous memory"
    return Seen(words, f"{off:.1f}", off - on > 0.5 * size_mb)


def _recovery(lab: Lab) -> Seen:
    """Memory runs out once, in the encoder of the first step."""

    def survived(on: bool) -> bool:
        trainer = lab.trainer({"improvements.auto_recover_oom": on})
        trainer.recorder.log.disabled = True  # the failure is meant
        failures = [1]

        def fail_once(*_: object) -> None:
            if failures:
                failures.pop()
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory (injected by the probe)")

        trainer.parts.model.encoder.register_forward_pre_hook(fail_once)
        try:
            return math.isfinite(trainer.next_step().loss)
        except Ended:
            return False
        finally:
            trainer.recorder.log.disabled = False

    on, off = survived(True), survived(False)
    words = {True: "an injected out of memory survived", False: "an injected out of memory ends the run"}
    return Seen(words[on], words[off], on and not off)


def _wandb(lab: Lab) -> Seen:
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
    return Seen(f"{on} offline run", f"{off}", on == 1 and off == 0)


def _scaler(lab: Lab) -> Seen:
    if lab.group.device.type != "cuda":
        raise NotApplicable("fp16 and its scaler are used on CUDA only; this machine trains in float32 on the CPU")

    def scale(value: float) -> float:
        return float(lab.trainer({"grad_scaler.init_scale": value}).parts.scaler.get_scale())

    value = lab.real.grad_scaler.init_scale
    on, other = scale(value), scale(2 * value)
    return Seen(f"first scale {on:g}", f"{other:g} where {2 * value:g} is set", on == value and other == 2 * value)


def _warmup(lab: Lab) -> Seen:
    """The learning rate that the optimiser has after step 10, or after the last step of a shorter warm-up."""
    steps = lab.real.scheduler.warmup_steps or SOME_WARMUP
    at = min(10, max(1, steps - 1))

    def rate(warmup: int) -> float:
        trainer = lab.trainer({"scheduler.warmup_steps": warmup})
        for _ in range(at):
            trainer.next_step()
        return float(trainer.parts.optimizer.param_groups[0]["lr"])

    on, off = rate(steps), rate(0)
    return Seen(f"learning rate {on:.1e} at step {at}", f"{off:.1e}", on < off)


PROBES: tuple[tuple[str, Callable[[Settings], Any], Callable[[Lab], Seen]], ...] = (
    ("improvements.output_head_small_init", lambda s: s.improvements.output_head_small_init, _small_init),
    ("improvements.gat_temperature", lambda s: s.improvements.gat_temperature != 1.0, _temperature),
    ("improvements.freq_dropout_p", lambda s: s.improvements.freq_dropout_p > 0, _frequency_dropout),
    ("improvements.use_ema, ema.enabled", lambda s: s.ema_on, _ema),
    ("improvements.huber_loss, loss.type", lambda s: s.huber_on, _huber),
    ("improvements.online_normalization", lambda s: s.improvements.online_normalization, _online),
    ("data.memory_map", lambda s: s.data.memory_map, _memory_map),
    ("improvements.auto_recover_oom", lambda s: s.improvements.auto_recover_oom, _recovery),
    ("improvements.enable_wandb", lambda s: s.improvements.enable_wandb, _wandb),
    ("grad_scaler.init_scale", lambda s: s.grad_scaler.init_scale > 0, _scaler),
    ("scheduler.warmup_steps", lambda s: s.scheduler.warmup_steps > 0, _warmup),
)


def effects(settings: Settings, scratch: Path) -> list[dict[str, Any]]:
    """One line a flag: its keys, whether it is on, the verdict, what was measured on and off, seconds."""
    torch.set_num_threads(settings.training.threads)
    lab = Lab(settings, scratch)
    lab.trainer({}).evaluate(1)  # what the first use of torch costs is no flag's
    return [_probe(lab, keys, bool(is_on(settings)), measure) for keys, is_on, measure in PROBES]


def _probe(lab: Lab, keys: str, on: bool, measure: Callable[[Lab], Seen]) -> dict[str, Any]:
    begun = time.monotonic()
    line: dict[str, Any] = {"flag": keys, "on": on}
    try:
        seen = measure(lab)
        line |= {"verdict": ACTS if seen.acts else DOES_NOT_ACT, "with": seen.on, "without": seen.off}
    except NotApplicable as why:
        line |= {"verdict": NOT_APPLICABLE, "with": str(why), "without": ""}
    except Exception as error:  # noqa: BLE001 - a flag whose code fails does not act
        line |= {"verdict": DOES_NOT_ACT, "with": f"{type(error).__name__}: {error}"[:300], "without": ""}
    return line | {"seconds": round(time.monotonic() - begun, 3)}
