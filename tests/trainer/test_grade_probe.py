"""`probe grade`: what the trainer measures of one checkpoint, for each kind of damage."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from atftctl import protocol
from atftctl.decide.verdicts.grade import judge
from atftctl.trainer.errors import CheckpointError, Ended
from atftctl.trainer.probes.bench import Bench
from atftctl.trainer.probes.grade import grade
from tests.support import damage
from tests.trainer.conftest import settings_of, take

Make = Callable[..., Any]
STEPS = 40


@pytest.fixture
def saved(make: Make, tmp_path: Path) -> Path:
    """A checkpoint after 20 steps, with which a test does what it wants."""
    trainer = make(scheduler={"warmup_steps": 1})
    take(trainer, 20)
    assert trainer.save(protocol.LAST)
    path: Path = trainer.root / protocol.LAST
    return path


def measured(tmp_path: Path, path: Path, *, train: bool = True, **changes: dict[str, Any]) -> dict[str, Any]:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings_of(scheduler={"warmup_steps": 1}, **changes)))
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return grade(Bench(tmp_path, scratch, [config], steps=STEPS), path, train=train)


def graded(answer: dict[str, Any]) -> tuple[str, str]:
    result = judge(answer["sha256"], answer, steps=STEPS, grad_norm_max=5.0, config="c")
    assert result is not None
    return result.grade, result.failed


def test_a_good_one_trains_on(tmp_path: Path, saved: Path) -> None:
    before = saved.read_bytes()
    answer = measured(tmp_path, saved)
    assert graded(answer) == ("steps", "") and len(answer["rows"]) == STEPS
    assert (answer["step"], answer["rows"][0]["step"]) == (20, 21), "the steps that the run would have taken"
    assert saved.read_bytes() == before
    assert "rows" not in measured(tmp_path, saved, train=False)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bit flips", ("whole", "loads")),
        ("a cut end", ("whole", "loads")),
        ("NaN weights", ("whole", "loads")),
        ("diverges later", ("loads", "steps")),
    ],
)
def test_each_kind_of_damage(tmp_path: Path, saved: Path, kind: str, expected: tuple[str, str]) -> None:
    damage.KINDS[kind](saved, random.Random(1))
    answer = measured(tmp_path, saved)
    assert graded(answer) == expected, answer
    if kind == "diverges later":
        norms = [float(row["grad_norm"]) for row in answer["rows"]]
        assert max(norms[:15]) < 5 < max(norms), "it goes well at first"


def test_other_features_and_a_newer_format(tmp_path: Path, saved: Path) -> None:
    other = measured(tmp_path, saved, data={"horizons": [1, 5, 10, 15]})
    assert graded(other) == ("whole", "loads") and "15" in other["refused"]
    wider = measured(tmp_path, saved, model={"hidden_size": 16, "gat_heads": 2})
    assert "does not fit" in wider["refused"]
    import torch

    content = torch.load(saved, weights_only=True)
    torch.save({**content, "format": 99}, saved)
    assert "not a checkpoint of this trainer" in measured(tmp_path, saved)["refused"]
    torch.save({"format": 2}, saved)
    assert measured(tmp_path, saved)["refused"]


@pytest.mark.parametrize("place", ["ended", "load_state_dict", "next_step"])
def test_what_is_wrong_with_the_machine_is_no_answer(
    tmp_path: Path, saved: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from atftctl.trainer.training.trainer import Trainer

    def fail(*_: object, **__: object) -> None:
        if place == "ended":
            raise Ended(protocol.TrainerExit.OUT_OF_MEMORY, "can't allocate memory")
        if place == "next_step":
            raise OSError(errno.ENOSPC, "No space left on device")
        raise RuntimeError("Error(s) in loading state_dict:\n CUDA out of memory")

    target = torch.nn.Module if place == "load_state_dict" else Trainer
    monkeypatch.setattr(target, "load_state_dict" if target is not Trainer else "next_step", fail)
    with pytest.raises((Ended, OSError, CheckpointError)):
        measured(tmp_path, saved)


def test_one_that_is_gone_is_no_answer(tmp_path: Path, saved: Path) -> None:
    saved.unlink()
    with pytest.raises(FileNotFoundError):
        measured(tmp_path, saved)
