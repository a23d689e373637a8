"""Each flag of the guide acts: on against off, something measurable differs."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from atftctl import protocol
from atftctl.trainer.runtime.distributed import ProcessGroup
from atftctl.trainer.telemetry.dashboards import log_to, open_dashboards
from atftctl.trainer.training.loss import LossFunction
from atftctl.trainer.training.optimizer import learning_rate, make_scaler
from tests.trainer.conftest import Make, take


def improved(**flags: Any) -> dict[str, Any]:
    return {"improvements": flags}


def spread(trainer: Any) -> float:
    trainer.parts.model.eval()
    with torch.no_grad():
        return float(trainer.parts.model(trainer.batch(1)[0][1]).std())


def test_small_init_starts_near_zero(make: Make) -> None:
    assert spread(make(**improved(output_head_small_init=True))) < 0.2 * spread(make())


def test_temperature_changes_how_many_neighbours_are_heard(make: Make) -> None:
    def entropy(temperature: float) -> float:
        trainer = make(**improved(gat_temperature=temperature))
        trainer.parts.model.eval()
        day = trainer.batch(1)[0][1]
        with torch.no_grad():
            h = trainer.parts.model.encode(trainer.parts.model.normalise(day.x), None)
            alpha, _ = trainer.parts.model.graph[0].weights(h * 5, day.neighbours, day.edges)
        return float(-(alpha * alpha.clamp(min=1e-12).log()).sum(1).mean())

    assert entropy(0.5) < entropy(1.0) < entropy(2.0)


def test_frequency_dropout_removes_energy_in_training_only(make: Make) -> None:
    trainer = make(**improved(freq_dropout_p=1.0))
    mask = trainer.parts.model.mask(torch.zeros(200, 20, 4))
    assert mask.shape == (200, 11)
    assert torch.all(mask[:, 0] == 1), "never the mean"
    removed = (mask == 0).sum(1)
    assert torch.all(removed >= 1) and removed.max() <= 3
    day = trainer.batch(1)[0][1]
    trainer.parts.model.eval()
    with torch.no_grad():
        assert torch.equal(trainer.parts.model(day), trainer.parts.model(day))
    assert make().parts.model.mask is None


def test_ema_keeps_a_second_set_of_weights(make: Make) -> None:
    on = {"improvements": {"use_ema": True}, "ema": {"enabled": True, "decay": 0.9}}
    trainer = make(**on)
    take(trainer, 3)
    pairs = zip(trainer.parts.model.parameters(), trainer.parts.eval_model.parameters(), strict=True)
    assert any(not torch.equal(raw, averaged) for raw, averaged in pairs)
    for half in ({"improvements": {"use_ema": True}}, {"ema": {"enabled": True}}):
        assert make(**half).parts.ema is None, "both switches, or it is off"


def test_huber_saturates_on_an_outlier(make: Make) -> None:
    def gradient(**changes: Any) -> float:
        loss_function = LossFunction(make(loss={"rank_weight": 0.0, **changes.pop("loss", {})}, **changes).settings)
        prediction = torch.zeros(5, 4, requires_grad=True)
        target = torch.zeros(5, 4)
        target[0, 0] = 100.0
        loss_function(prediction, target).total.backward()
        return float(prediction.grad.abs().max())  # type: ignore[union-attr]

    on = gradient(improvements={"huber_loss": True}, loss={"type": "huber"})
    off = gradient(improvements={"huber_loss": False}, loss={"type": "huber"})
    assert on == pytest.approx(1.0 / 5) and off == pytest.approx(200.0 / 5), (
        "huber_loss: false means MSE whatever the type"
    )


def test_online_statistics_move_in_training_and_not_in_evaluation(make: Make) -> None:
    trainer = make(**improved(online_normalization=True))
    before = trainer.parts.model.normalise.mean.clone()
    trainer.evaluate(2)
    assert torch.equal(trainer.parts.model.normalise.mean, before)
    take(trainer, 1)
    assert not torch.equal(trainer.parts.model.normalise.mean, before)
    fixed = make()
    kept = fixed.parts.model.normalise.mean.clone()
    take(fixed, 1)
    assert torch.equal(fixed.parts.model.normalise.mean, kept)


def test_online_statistics_are_welfords(make: Make) -> None:
    """After n batches: the mean and deviation of the prior's rows and all of theirs."""
    from atftctl.trainer.improvements.online_norm import PRIOR, OnlineNorm

    rng = torch.Generator().manual_seed(0)
    norm = OnlineNorm(torch.zeros(3), torch.ones(3)).train()
    batches = [torch.randn(40, 20, 3, generator=rng) * 2 + 1 for _ in range(4)]
    for batch in batches:
        norm(batch)
        norm.merge(ProcessGroup())
    rows = torch.cat([batch.reshape(-1, 3) for batch in batches]).double()
    total = PRIOR + len(rows)
    mean = rows.sum(0) / total
    variance = (PRIOR * 1.0 + (rows**2).sum(0)) / total - mean**2
    assert torch.allclose(norm.mean.double(), mean, atol=1e-5)
    assert torch.allclose(norm.deviation.double(), variance.sqrt(), atol=1e-5)


def test_memory_map_reads_pages_instead_of_holding_them(make: Make) -> None:
    mapped, held = make(data={"memory_map": True}).dataset.features, make().dataset.features
    assert isinstance(mapped, np.memmap) and not isinstance(held, np.memmap)
    assert np.array_equal(mapped, held, equal_nan=True)


def test_warm_up_holds_the_first_steps_down(make: Make) -> None:
    short, long = (make(scheduler={"warmup_steps": steps}).settings for steps in (10, 100))
    assert learning_rate(short, 10) == pytest.approx(1e-3) and learning_rate(long, 10) == pytest.approx(1e-4)


def test_the_scaler_acts_on_cuda_only(make: Make) -> None:
    settings = make(grad_scaler={"init_scale": 2048.0}).settings
    assert not make_scaler(settings, torch.device("cpu")).is_enabled()
    if torch.cuda.is_available():
        assert make_scaler(settings, torch.device("cuda")).get_scale() == 2048.0


@pytest.mark.parametrize(
    ("module", "changes", "words"),
    [
        ("wandb", improved(enable_wandb=True), b"no Weights & Biases"),
        ("torch.utils.tensorboard", {"training": {"tensorboard": True}}, b"no TensorBoard"),
    ],
)
def test_a_dashboard_that_is_not_there_is_a_warning(
    make: Make, monkeypatch: pytest.MonkeyPatch, module: str, changes: dict[str, Any], words: bytes
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    trainer = make(**changes)
    assert open_dashboards(trainer.settings, trainer.root, trainer.recorder) == []
    assert words in (trainer.root / protocol.EVENTS).read_bytes()
    take(trainer, 1)


def test_a_dashboard_that_fails_later_is_given_up_once(make: Make) -> None:
    class Broken:
        def log(self, row: dict[str, Any], step: int) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    trainer = make()
    assert not log_to(Broken(), {"loss": 1.0}, 1, trainer.recorder)
    assert b"Broken is given up" in (trainer.root / protocol.EVENTS).read_bytes()


def test_tensorboard_gets_the_metrics(make: Make) -> None:
    pytest.importorskip("tensorboard", reason="the extra: pip install 'atftctl[tensorboard]'")
    trainer = make(training={"tensorboard": True})
    [board] = open_dashboards(trainer.settings, trainer.root, trainer.recorder)
    board.log({"step": 3, "loss": 0.5, "rankic_h1": 0.03}, 3)
    [file] = (trainer.root / "logs/tensorboard/run").iterdir()
    assert file.stat().st_size > 0


@pytest.mark.parametrize("flag", ["output_head_small_init", "online_normalization"])
@pytest.mark.parametrize("to", [True, False])
def test_a_checkpoint_is_converted_when_a_flag_changes(make: Make, flag: str, to: bool) -> None:
    """LayerScale is folded in or split off with the same predictions; statistics come from the training split."""
    first = make(**improved(**{flag: not to}))
    take(first, 4)
    first.save(protocol.LAST)
    second = make(root=first.root, **improved(**{flag: to}))
    second.resume("last")
    assert second.progress.step == 4
    if flag == "output_head_small_init":
        first.parts.model.eval(), second.parts.model.eval()
        with torch.no_grad():
            assert torch.allclose(
                first.parts.model(first.batch(5)[0][1]), second.parts.model(second.batch(5)[0][1]), atol=1e-5
            )
    assert all(np.isfinite(loss) for loss in take(second, 2))


def test_switching_ema_off_goes_on_from_the_raw_weights(make: Make) -> None:
    first = make(improvements={"use_ema": True}, ema={"enabled": True, "decay": 0.9})
    take(first, 4)
    first.save(protocol.LAST)
    second = make(root=first.root)
    second.resume("last")
    assert all(
        torch.equal(a, b) for a, b in zip(first.parts.model.parameters(), second.parts.model.parameters(), strict=True)
    )
