"""The loop: exact resume, faults that are typed, checkpoints that count only when whole."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from atftctl import protocol
from atftctl.protocol import TrainerExit
from atftctl.trainer.errors import CheckpointError, Ended
from atftctl.trainer.training import checkpoint
from tests.support import warm
from tests.support.projects import ROOT, SHARED_DATA, wait_for
from tests.trainer.conftest import IMPROVED, Make, settings_of, take


def events(root: Path) -> list[dict[str, Any]]:
    if not (root / protocol.EVENTS).exists():
        return []
    return [json.loads(line) for line in (root / protocol.EVENTS).read_bytes().splitlines()]


@pytest.mark.parametrize("changes", [{}, IMPROVED], ids=["baseline", "improved"])
def test_resume_is_exact(make: Make, changes: dict[str, Any]) -> None:
    """Same losses, same weights, averages, statistics and random numbers as without the stop."""
    whole = make(**changes)
    losses = take(whole, 9)
    first = make(**changes)
    assert take(first, 4) == losses[:4]
    first.save(protocol.LAST)
    second = make(root=first.root, **changes)
    assert second.resume("last") == protocol.LAST
    assert take(second, 5) == losses[4:]
    for name, tensor in whole.parts.model.state_dict().items():
        assert torch.equal(tensor, second.parts.model.state_dict()[name]), name
    if whole.parts.ema:
        for mine, theirs in zip(whole.parts.ema.model.parameters(), second.parts.ema.model.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def test_the_same_settings_train_the_same(make: Make) -> None:
    assert take(make(**IMPROVED), 3) == take(make(**IMPROVED), 3)


def test_out_of_memory_is_recovered_from_with_the_same_losses(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = take(make(**IMPROVED), 6)
    trainer = make(**IMPROVED)
    losses = take(trainer, 2)
    real, failures = trainer.train_step._backward, [1, 1]

    def backward(parts: Any, day: Any, seed: Any) -> Any:
        if failures:
            failures.pop()
            trainer.parts.model(day)  # moves the statistics and the random numbers, as a step that dies half-way does
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")
        return real(parts, day, seed)

    monkeypatch.setattr(trainer.train_step, "_backward", backward)
    losses += take(trainer, 4)
    assert trainer.parts.model.chunks == 4
    assert losses == pytest.approx(expected, abs=1e-5)
    names = [event["event"] for event in events(trainer.root)]
    assert names == ["oom", "recovered", "oom", "recovered"]
    assert all(event.get("recoverable", True) for event in events(trainer.root))


def test_out_of_memory_without_the_recovery_is_typed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make()

    def backward(parts: Any, day: Any, seed: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(trainer.train_step, "_backward", backward)
    with pytest.raises(Ended) as ended:
        take(trainer, 1)
    assert ended.value.code is TrainerExit.OUT_OF_MEMORY
    assert [(event["event"], event["recoverable"]) for event in events(trainer.root)] == [("oom", False)]


def test_another_runtime_error_is_no_out_of_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(**IMPROVED)
    monkeypatch.setattr(
        trainer.train_step, "_backward", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes do not match"))
    )
    with pytest.raises(RuntimeError, match="shapes"):
        take(trainer, 1)


def test_nan_stops_before_the_weights_are_spoiled(make: Make) -> None:
    trainer = make()
    take(trainer, 2)
    before = {name: tensor.clone() for name, tensor in trainer.parts.model.state_dict().items()}
    batch = trainer.batch(3)
    batch[0][1].x[0, 0, 0] = math.nan
    with pytest.raises(Ended) as ended:
        trainer.train_step.run(trainer.parts, batch, 3)
    assert ended.value.code is TrainerExit.ANOMALY
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.parts.model.state_dict().items())
    assert events(trainer.root)[-1]["event"] == "anomaly"


def test_no_flipped_bit_ever_changes_what_is_loaded(make: Make) -> None:
    """torch.load notices none of them. Here each is refused, but those in the zip's padding, which change nothing."""
    trainer = make()
    trainer.save(protocol.LAST)
    path = trainer.root / protocol.LAST
    whole, clean = path.read_bytes(), checkpoint.load(path)["model"]
    rng = random.Random(0)
    refused = unseen_by_torch = 0
    for _ in range(100):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            loaded = checkpoint.load(path)["model"]
        except CheckpointError as error:
            assert "last.pth" in str(error)
            refused += 1
            unseen_by_torch += loads_in_torch(path)
            continue
        assert all(torch.equal(clean[name], loaded[name]) for name in clean)
    assert refused > 50 and unseen_by_torch > 15


def loads_in_torch(path: Path) -> bool:
    try:
        torch.load(path, weights_only=True)
    except Exception:  # whatever it says, it noticed
        return False
    return True


def test_a_cut_checkpoint_is_refused_and_the_one_before_is_taken(make: Make) -> None:
    trainer = make()
    take(trainer, 2)
    trainer.save(protocol.BEST)
    take(trainer, 2)
    trainer.save(protocol.LAST)
    path = trainer.root / protocol.LAST
    path.write_bytes(path.read_bytes()[:-100])
    again = make(root=trainer.root)
    assert again.resume("last") == protocol.BEST and again.progress.step == 2
    (trainer.root / protocol.BEST).write_bytes(b"nothing like it")
    with pytest.raises(CheckpointError, match="best_model.pth"):
        make(root=trainer.root).resume("last")


def test_a_checkpoint_is_never_unpickled(make: Make, tmp_path: Path) -> None:
    """A file with code in it is refused, and the code does not run."""

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "pwned"),)

    path = tmp_path / "evil.pth"
    torch.save({"format": 1, "model": Evil()}, path)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert not (tmp_path / "pwned").exists()


def test_a_full_disk_while_saving_leaves_the_old_checkpoint(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make()
    trainer.save(protocol.LAST)
    before = (trainer.root / protocol.LAST).read_bytes()
    take(trainer, 1)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    trainer.save(protocol.LAST)
    assert (trainer.root / protocol.LAST).read_bytes() == before
    assert not list((trainer.root / "models").glob(".*")), "the half-written one is gone"
    assert events(trainer.root)[-1]["event"] == "save_failed"
    with pytest.raises(Ended) as ended:
        trainer.save(protocol.LAST, must=True)
    assert ended.value.code is TrainerExit.SAVE_FAILED


PROGRAM = ("-m", "atftctl.trainer", "train", "--config", "config.yaml")
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
# The trainer of the folder it runs in, in a process that has this one's modules loaded already.
OF_THIS_FOLDER = """
import os, sys
for name in [name for name in sys.modules if name.partition(".")[0] == "atftctl"]:
    del sys.modules[name]
sys.path.insert(0, os.getcwd())
from atftctl.trainer import __main__ as trainer
assert trainer.__file__.startswith(os.getcwd()), trainer.__file__
sys.argv[1:] = ["train", "--config", "config.yaml"]
sys.exit(trainer.main())
"""


def write_config(root: Path, values: dict[str, Any]) -> None:
    (root / "config.yaml").write_text(yaml.safe_dump(values))


def test_sigterm_saves_and_leaves_with_the_agreed_code(tmp_path: Path) -> None:
    write_config(tmp_path, settings_of())
    child = warm.start(PROGRAM, cwd=tmp_path, env=ENV)
    try:
        wait_for(
            lambda: (
                (tmp_path / protocol.METRICS).exists()
                and len((tmp_path / protocol.METRICS).read_text().splitlines()) > 5
            ),
            60,
        )
        child.send_signal(signal.SIGTERM)
        assert child.wait(120) == TrainerExit.STOPPED
    finally:
        child.kill()
    seen = events(tmp_path)
    assert [event["event"] for event in seen[:2]] == ["started", "first_step"]
    assert seen[-1]["event"] == "stopped" and seen[-1]["exit_code"] == TrainerExit.STOPPED
    assert seen[0]["digest"] == protocol.config_digest(yaml.safe_load((tmp_path / "config.yaml").read_text()))
    assert seen[0]["effective"]["improvements.use_ema"] is False
    saved = checkpoint.load(tmp_path / protocol.LAST)
    assert saved["step"] == seen[-1]["step"]


WRONG = {
    "unknown": ({"modle": {}}, "did you mean model?"),
    "range": (
        {"improvements": {"freq_dropout_p": 1.5}},
        "improvements.freq_dropout_p: 1.5 is out of its range, 0 to 1",
    ),
    "kind": ({"improvements": {"use_ema": "yes"}}, "improvements.use_ema: 'yes' is not true or false"),
    "number in YAML 1.2 only": ({"optimizer": {"lr": "3e-05"}}, "write 3.0e-05"),
    "word": ({"loss": {"type": "hubber"}}, "loss.type"),
    "no file": ({"data": {"path": "none.parquet"}}, "none.parquet: no such file"),
    "too few days": ({"data": {"synthetic": {"days": 50, "stocks": 5}, "sequence_length": 45}}, "usable days"),
}


@pytest.mark.parametrize("name", ["unknown", "range", "no file"])
def test_a_wrong_config_is_named_in_the_last_event(tmp_path: Path, name: str) -> None:
    changes, words = WRONG[name]
    write_config(tmp_path, {**settings_of(), **changes})
    done = warm.run(PROGRAM, cwd=tmp_path, env=ENV)
    assert done.returncode == (TrainerExit.BAD_DATA if name == "no file" else TrainerExit.BAD_SETTINGS)
    assert words in events(tmp_path)[-1]["reason"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings(name: str, tmp_path: Path) -> None:
    from atftctl.trainer.config import settings
    from atftctl.trainer.data.dataset import Dataset
    from atftctl.trainer.data.panel import DataError

    changes, words = WRONG[name]
    with pytest.raises((settings.SettingsError, DataError)) as caught:
        Dataset(settings.from_mapping({**settings_of(), **changes}).data, tmp_path)
    assert words in str(caught.value)


def test_the_baseline_trains_with_the_improvements_gone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "atftctl", tmp_path / "atftctl", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path / "atftctl/trainer/improvements")
    write_config(tmp_path, settings_of(training={"max_steps": 4, "evaluate_every": 2}))
    for expected in (4, 4):  # the second run resumes
        done = warm.run(("-c", OF_THIS_FOLDER), cwd=tmp_path, env=ENV)
        assert done.returncode == TrainerExit.FINISHED, done.stderr
        assert checkpoint.load(tmp_path / protocol.LAST)["step"] == expected


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the Tokyo prices are not beside this checkout (../shared/data)")
def test_it_trains_on_real_prices(make: Make) -> None:
    trainer = make(
        data={"path": str(SHARED_DATA), "train_end": "2017-12-31", "validation_end": "2018-12-31", "memory_map": True},
        **{key: value for key, value in IMPROVED.items() if key != "data"},
    )
    assert len(trainer.dataset.panel.tickers) == 499
    losses = take(trainer, 3)
    assert all(math.isfinite(loss) for loss in losses)
    dates = [trainer.dataset.panel.dates[day] for day in trainer.evaluation_days(5)]
    assert all(date.startswith("2018") for date in dates)
