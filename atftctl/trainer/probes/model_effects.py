"""Measurements of the flags that change the model, its loss or its weights. Each one switches one flag of the Lab."""

from __future__ import annotations

import torch

from atftctl.trainer.model.atft import ATFT
from atftctl.trainer.probes.lab import Lab, Observation
from atftctl.trainer.training.loss import LossFunction

DRAWS = 20  # of the bands of frequency dropout
# Where the project has the flag off, it is measured with these values.
DEFAULT_TEMPERATURE, DEFAULT_PROBABILITY = 0.5, 0.5


def small_init(lab: Lab) -> Observation:
    """Standard deviation of the first predictions, in units of the targets' standard deviation."""

    def spread(on: bool) -> float:
        parts = lab.trainer({"improvements.output_head_small_init": on}).parts
        parts.model.eval()
        with torch.no_grad():
            return float(parts.model(lab.day()).std())

    on, off = spread(True), spread(False)
    return Observation(f"first predictions' std {on:.4f}", f"{off:.4f}", on < 0.5 * off)


def gat_temperature(lab: Lab) -> Observation:
    """Mean entropy of the attention in the first layer, in nats.

    The attention scores of fresh weights are small; the inputs are multiplied by 5 so that the scores differ.
    """

    def entropy(temperature: float) -> float:
        parts = lab.trainer({"improvements.gat_temperature": temperature}).parts
        parts.model.eval()
        day = lab.day()
        with torch.no_grad():
            h = 5 * parts.model.encode(parts.model.normalise(day.x), None)
            alpha, _ = parts.model.attention_layers[0].weights(h, day.neighbours, day.edges)
        return float(-(alpha * alpha.clamp(min=1e-12).log()).sum(dim=1).mean())

    configured = lab.real.improvements.gat_temperature
    tau = configured if configured != 1.0 else DEFAULT_TEMPERATURE
    on, off = entropy(tau), entropy(1.0)
    acts = on < off - 1e-4 if tau < 1 else on > off + 1e-4
    return Observation(f"attention entropy {on:.3f} at τ {tau:g}", f"{off:.3f} at τ 1", acts)


def frequency_dropout(lab: Lab) -> Observation:
    """Share of the spectrum's energy that the dropped bands hold, and whether the model loses it.

    In training the model's output must change, in evaluation it must not; with p = 0 it changes in neither.
    """
    p = lab.real.improvements.freq_dropout_p or DEFAULT_PROBABILITY

    def model_at(probability: float) -> ATFT:
        return lab.trainer({"improvements.freq_dropout_p": probability, "model.dropout": 0.0}).parts.model

    with_flag, without = model_at(p), model_at(0.0)
    on, off = _dropped_energy(lab, with_flag), _dropped_energy(lab, without)
    acts = on > 0 and off == 0 and _changes_output(lab, with_flag) and not _changes_output(lab, without)
    return Observation(f"{on:.2%} of the spectrum's energy gone in training", f"{off:.2%}", acts)


def _changes_output(lab: Lab, model: ATFT) -> bool:
    """Return whether the output in evaluation is always the same, and that in training sometimes another."""
    day = lab.day()
    with torch.no_grad():
        evaluated = model.eval()(day)
        repeatable = torch.equal(evaluated, model(day))
        torch.manual_seed(0)
        return repeatable and not all(torch.equal(evaluated, model.train()(day)) for _ in range(DRAWS))


def _dropped_energy(lab: Lab, model: ATFT) -> float:
    """Return the share of the spectrum's energy that the mask removes, as a mean over the draws."""
    if model.mask is None:
        return 0.0
    torch.manual_seed(0)
    x = model.normalise(lab.day().x)
    spectrum = torch.fft.rfft(x, dim=1).abs().pow(2).sum(dim=-1)[:, 1:]  # without the mean, which is never dropped
    dropped = sum((spectrum * (1 - model.mask(x)[:, 1:])).sum() for _ in range(DRAWS))
    return float(dropped / (DRAWS * spectrum.sum()))


def ema(lab: Lab) -> Observation:
    """Largest difference of an averaged weight from the raw one after three steps. Needs both switches."""
    both = {"improvements.use_ema": True, "ema.enabled": True}
    trainer = lab.trainer(both)
    for _ in range(3):
        trainer.next_step()
    pairs = zip(trainer.parts.model.parameters(), trainer.parts.eval_model.parameters(), strict=True)
    difference = max(float((raw - averaged).detach().abs().max()) for raw, averaged in pairs)
    with_one_switch = [lab.trainer({**both, key: False}).parts.ema for key in both]
    return Observation(
        f"averaged weights up to {difference:.1e} from the raw ones",
        "no second set",
        difference > 0 and with_one_switch == [None, None],
    )


def huber(lab: Lab) -> Observation:
    """Gradient of one outlier, 100 standard deviations away. It saturates only with both switches on."""

    def gradient(flag: bool, kind: str) -> float:
        values = {"improvements.huber_loss": flag, "loss.type": kind, "loss.rank_weight": 0.0}
        loss_function = LossFunction(lab.with_values(values))
        prediction = torch.zeros(10, len(lab.settings.data.horizons), requires_grad=True)
        target = torch.zeros_like(prediction)
        target[0] = 100.0
        (slope,) = torch.autograd.grad(loss_function(prediction, target).total, prediction)
        return float(slope.abs().max())

    on, off = gradient(True, "huber"), gradient(False, "mse")
    with_one_switch = (gradient(False, "huber"), gradient(True, "mse"))
    acts = on < 0.5 * off and with_one_switch == (off, off)
    return Observation(f"an outlier's gradient {on:.3g}", f"{off:.3g}", acts)


def online_normalization(lab: Lab) -> Observation:
    """How far the running mean moves in one step, in units of the features. In evaluation it must not move."""

    def moves(on: bool) -> tuple[float, float]:
        trainer = lab.trainer({"improvements.online_normalization": on})
        mean = trainer.parts.model.normalise.mean
        start = mean.clone()
        trainer.evaluate(2)
        in_evaluation = float((mean - start).abs().max())
        trainer.next_step()
        return in_evaluation, float((mean - start).abs().max())

    (in_evaluation, on), (_, off) = moves(True), moves(False)
    acts = on > 0 and off == 0 and in_evaluation == 0
    return Observation(f"running mean moves by {on:.1e} a step", f"{off:.1g}", acts)
