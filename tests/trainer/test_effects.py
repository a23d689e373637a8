"""The effect probes: each flag of the guide acts, and one that does not is found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from atftctl.trainer.config.settings import from_mapping
from atftctl.trainer.probes import flag_effects as module
from atftctl.trainer.probes.flag_effects import ACTS, DOES_NOT_ACT, NOT_APPLICABLE, PROBES, effects
from tests.trainer.conftest import IMPROVED, settings_of

HUBER, EMA = "improvements.huber_loss, loss.type", "improvements.use_ema, ema.enabled"
NEEDS_MORE = {"improvements.enable_wandb", "grad_scaler.init_scale"}  # an extra, a GPU


def lines(tmp_path: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    return {line["flag"]: line for line in effects(from_mapping(settings_of(**changes)), tmp_path)}


def verdicts(tmp_path: Path, *flags: str, **changes: Any) -> set[str]:
    """Of these flags alone."""
    probes = tuple(probe for probe in PROBES if probe[0] in flags)
    assert len(probes) == len(flags)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "PROBES", probes)
        return {line["verdict"] for line in lines(tmp_path, **changes).values()}


@pytest.mark.parametrize("changes", [IMPROVED, {}], ids=["all on", "all off"])
def test_every_flag_acts_or_says_why_it_can_not(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = lines(tmp_path, **changes)
    assert set(found) == {keys for keys, _, _ in PROBES}
    for flag, line in found.items():
        if flag in NEEDS_MORE:
            assert line["verdict"] in (ACTS, NOT_APPLICABLE) and line["with"], line
        else:
            assert line["verdict"] == ACTS, line
    assert found[EMA]["on"] is bool(changes)


def test_a_flag_that_can_not_act_is_found_out(tmp_path: Path) -> None:
    """Settings under which the flag is on and changes nothing: a delta beyond any outlier, no decay at all."""
    changes = {"loss": {"type": "huber", "huber_delta": 1000.0}, "ema": {"enabled": True, "decay": 0.0}}
    assert verdicts(tmp_path, HUBER, EMA, **{**IMPROVED, **changes}) == {DOES_NOT_ACT}


@pytest.mark.parametrize(
    ("flag", "where", "instead"),
    [
        ("improvements.gat_temperature", "gat_temperature.install", lambda model, temperature: None),
        ("improvements.freq_dropout_p", "freq_dropout.install", lambda model, p: None),
        ("improvements.output_head_small_init", "small_init.install", lambda model, hidden, horizons: None),
        ("improvements.online_normalization", "online_norm.install", lambda model, mean, deviation: None),
        (HUBER, "huber.huber", lambda p, y, delta: (p - y) ** 2),
        ("improvements.auto_recover_oom", "oom_recovery.OomRecovery.recover", lambda self: None),
    ],
)
def test_a_flag_without_a_reader_does_not_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str, where: str, instead: Any
) -> None:
    """What went wrong in the project before: the flag is set, and the code does nothing with it."""
    monkeypatch.setattr(f"atftctl.trainer.improvements.{where}", instead)
    assert verdicts(tmp_path, flag, **IMPROVED) == {DOES_NOT_ACT}


def test_one_of_two_switches_without_a_reader_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from atftctl.trainer.config.settings import Settings

    monkeypatch.setattr(Settings, "huber_on", property(lambda self: self.loss.type == "huber"))
    monkeypatch.setattr(Settings, "ema_on", property(lambda self: self.improvements.use_ema))
    assert verdicts(tmp_path, HUBER, EMA, **IMPROVED) == {DOES_NOT_ACT}


def test_a_warm_up_and_a_mask_that_nobody_asks_for_do_not_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from atftctl.trainer.model.atft import ATFT

    encode = ATFT.encode
    monkeypatch.setattr(ATFT, "encode", lambda self, x, mask: encode(self, x, None))
    monkeypatch.setattr("atftctl.trainer.training.step.learning_rate", lambda settings, step: settings.optimizer.lr)
    assert verdicts(tmp_path, "improvements.freq_dropout_p", "scheduler.warmup_steps", **IMPROVED) == {DOES_NOT_ACT}


def test_long_horizons_are_probed_too(tmp_path: Path) -> None:
    assert verdicts(tmp_path, EMA, data={"horizons": [1, 60]}) == {ACTS}


def test_an_improvement_that_is_gone_does_not_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "PROBES", (("x", lambda s: True, lambda lab: (_ for _ in ()).throw(ImportError("gone"))),)
    )
    [line] = effects(from_mapping(settings_of()), tmp_path)
    assert line["verdict"] == DOES_NOT_ACT and "gone" in line["with"]
