"""The example with Lightning: an incident, and what the callback does where Lightning alone would lose something."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atftctl import protocol
from tests.examples import incident
from tests.examples.conftest import need
from tests.support.projects import Project

Make = Callable[[str], Project]


@pytest.fixture(autouse=True)
def framework(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    need("lightning", "torch")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.timeout(2 * incident.LIMIT_S)
def test_an_incident_is_rolled_back_and_undone(example: Make) -> None:
    project = example("lightning")
    assert 0 < incident.glue(project) <= 15
    incident.break_and_roll_back(project, last="models/last.ckpt")


def trained(callback: Any, *, steps: int = 20, rate: float = 0.01, halved: bool = False, **options: Any) -> Any:
    """Train a line for so many steps of epochs of eight. `halved`: the learning rate, after each epoch."""
    import lightning.pytorch as pl
    import torch

    class Line(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            return (self.line(batch[0]) - 1).square().mean()

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=rate)
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
            return ([optimizer], [schedule]) if halved else optimizer

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(16, 1)), batch_size=2)
    options = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, **options}
    callbacks = [callback, *options.pop("more", [])]
    checkpoint = options.pop("ckpt_path", None)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_steps=steps, callbacks=callbacks, enable_progress_bar=False, **options
    )
    trainer.fit(Line(), data, ckpt_path=checkpoint)
    return trainer


def at_step(number: int, act: Callable[[], object]) -> Any:
    import lightning.pytorch as pl

    class Act(pl.Callback):
        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == number:
                act()

    return Act()


def seen(folder: Path) -> list[dict[str, Any]]:
    return incident.events(Project(folder))


def test_a_signal_in_the_middle_of_an_epoch_loses_no_step(tmp_path: Path) -> None:
    from atftctl.hooks.lightning import RollbackCallback

    with pytest.raises(SystemExit) as ended:
        trained(RollbackCallback(), more=[at_step(10, lambda: os.kill(os.getpid(), signal.SIGTERM))])
    assert ended.value.code == 10
    assert [(event["event"], event["step"]) for event in seen(tmp_path)[-2:]] == [("checkpoint", 11), ("stopped", 11)]
    again = RollbackCallback()
    trainer = trained(again, ckpt_path=again.resume_from("last"))
    assert trainer.global_step == 20
    started = [event for event in seen(tmp_path) if event["event"] == protocol.STARTED][-1]
    assert (started["step"], started["resumed_from"]) == (11, "models/last.ckpt")


def test_min_epochs_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    from atftctl.hooks.lightning import RollbackCallback

    callback = RollbackCallback()
    with pytest.raises(SystemExit) as ended:
        trained(callback, min_epochs=2, more=[at_step(3, callback.reporter.requests.request_stop)])
    assert ended.value.code == 10 and seen(tmp_path)[-1]["step"] == 4


def test_after_a_newer_start_nothing_is_saved_and_nothing_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by Lightning's own callback either, which removes the checkpoint before."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    from atftctl.hooks.lightning import RollbackCallback

    monkeypatch.setenv(protocol.GENERATION, "1")
    (tmp_path / ".atftctl").mkdir()

    def overtake() -> None:
        (tmp_path / protocol.COUNTER).write_text("2\n")

    every = ModelCheckpoint(dirpath="models", every_n_train_steps=4, save_top_k=1, monitor=None, filename="{step}")
    with pytest.raises(SystemExit) as ended:
        trained(
            RollbackCallback(), more=[every, at_step(9, overtake)], enable_checkpointing=True, steps=1000
        )  # fmt: skip
    assert ended.value.code == 17
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["step=8.ckpt"]
    assert [event["event"] for event in seen(tmp_path)[-2:]] == ["fenced", "stopped"]


def test_after_a_failed_save_the_checkpoint_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
    from lightning.pytorch.callbacks import ModelCheckpoint

    from atftctl.hooks.lightning import RollbackCallback

    real = TorchCheckpointIO.save_checkpoint

    def full(self: Any, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        if checkpoint["global_step"] > 4:
            raise OSError(28, "No space left on device")
        real(self, checkpoint, path, storage_options)

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", full)
    every = ModelCheckpoint(dirpath="models", every_n_train_steps=4, save_top_k=1, monitor=None, filename="{step}")
    trained(RollbackCallback(), more=[every], enable_checkpointing=True)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["step=4.ckpt"]
    assert any(event["event"] == protocol.SAVE_FAILED for event in seen(tmp_path))


def test_an_error_is_reported_and_a_fit_that_is_done_too(tmp_path: Path) -> None:
    from atftctl.hooks.lightning import RollbackCallback

    def fail() -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(RuntimeError):
        trained(RollbackCallback(), more=[at_step(5, fail)])
    assert [event["event"] for event in seen(tmp_path)[-2:]] == ["oom", "stopped"]
    trained(RollbackCallback(every_n_steps=8))
    last = seen(tmp_path)[-1]
    assert (last["event"], last["exit_code"], last["step"]) == ("stopped", 0, 20)
    assert [event["step"] for event in seen(tmp_path) if event["event"] == protocol.CHECKPOINT] == [8, 16, 20]


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("rate", [0.01, 0.04])
def test_a_changed_learning_rate_counts_and_else_the_schedule_goes_on(
    tmp_path: Path, rate: float, halved: bool
) -> None:
    """Lightning restores that of the checkpoint."""
    from atftctl.hooks.lightning import RollbackCallback

    trained(RollbackCallback(every_n_steps=12), steps=12, halved=halved)
    again = RollbackCallback()
    trainer = trained(again, ckpt_path=again.resume_from("last"), rate=rate, halved=halved)
    [first] = (float(row["lr"]) for row in incident.rows(Project(tmp_path), 0) if row["step"] == "13")
    assert first == pytest.approx(rate * (0.5 if halved else 1))
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(rate * (0.25 if halved else 1))


def test_a_lightning_without_a_method_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import lightning.pytorch as pl

    from atftctl.hooks.lightning import RollbackCallback

    monkeypatch.delattr(pl.Callback, "on_exception")
    monkeypatch.setattr(pl, "__version__", "1.4.0")
    monkeypatch.delattr(RollbackCallback, "on_exception")
    with pytest.raises(RuntimeError, match=r"Lightning 1\.4\.0 has no Callback\.on_exception: .* 2\.2 or newer"):
        RollbackCallback()
