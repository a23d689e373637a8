"""The example with transformers: an incident, and what the callback does at the end of a step."""

from __future__ import annotations

import json
import os
import signal
import struct
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
    need("transformers", "accelerate", "safetensors", "torch")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.timeout(2 * incident.LIMIT_S)
def test_an_incident_is_rolled_back_and_undone(example: Make) -> None:
    project = example("huggingface")
    assert 0 < incident.glue(project) <= 15
    incident.break_and_roll_back(project, last="checkpoints/checkpoint-{step}")


def trained(callback: Any, *more: Any, resume: Any = None, **options: Any) -> Any:
    """Train a line for twelve steps."""
    import torch
    from transformers import Trainer, TrainingArguments

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, x: Any, labels: Any = None) -> Any:
            return {"loss": (self.line(x) - labels).square().mean(), "logits": self.line(x)}

    data = [{"x": torch.ones(1), "labels": torch.ones(1)}] * 32
    values = {"max_steps": 12, "save_steps": 4, "logging_steps": 1, "report_to": [], "use_cpu": True, **options}
    arguments = TrainingArguments(output_dir="out", disable_tqdm=True, per_device_train_batch_size=2, **values)
    trainer = Trainer(Line(), arguments, train_dataset=data, callbacks=[callback, *more])  # type: ignore[arg-type]
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def at_step(number: int, act: Callable[[], object]) -> Any:
    from transformers import TrainerCallback

    class Act(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == number:
                act()

    return Act()


def seen(folder: Path) -> list[dict[str, Any]]:
    return incident.events(Project(folder))


def test_a_signal_saves_the_step_and_ends(tmp_path: Path) -> None:
    from atftctl.hooks.transformers import RollbackCallback

    with pytest.raises(SystemExit) as ended:
        trained(RollbackCallback(), at_step(5, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert ended.value.code == 10
    checkpoint, stopped = seen(tmp_path)[-2:]
    assert (checkpoint["path"], stopped["step"], stopped["exit_code"]) == ("out/checkpoint-6", 6, 10)
    again = RollbackCallback()
    trained(again, resume=again.resume_from("last", "out"))
    started = [event for event in seen(tmp_path) if event["event"] == protocol.STARTED][-1]
    assert (started["step"], started["resumed_from"]) == (6, "out/checkpoint-6")
    assert seen(tmp_path)[-1]["exit_code"] == 0
    losses = incident.rows(Project(tmp_path), 0)
    assert [int(row["step"]) for row in losses] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert all(row["loss"] and row["lr"] for row in losses)


@pytest.mark.parametrize("times", [1, 4])
def test_a_changed_learning_rate_counts_and_else_the_schedule_goes_on(tmp_path: Path, times: int) -> None:
    """The Trainer restores that of the checkpoint."""
    from atftctl.hooks.transformers import RollbackCallback

    trained(RollbackCallback(), learning_rate=0.012)
    again = RollbackCallback()
    trained(again, resume="out/checkpoint-8", learning_rate=0.012 * times)
    rows = incident.rows(Project(tmp_path), 0)
    first, second = (float(row["lr"]) for row in rows if row["step"] == "10")
    assert second == pytest.approx(first * times)


def test_after_a_newer_start_nothing_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from atftctl.hooks.transformers import RollbackCallback

    monkeypatch.setenv(protocol.GENERATION, "1")
    (tmp_path / ".atftctl").mkdir()
    callback = RollbackCallback()
    callback.reporter._every_s = 0.0
    overtaken = at_step(7, lambda: (tmp_path / protocol.COUNTER).write_text("2\n"))
    with pytest.raises(SystemExit) as ended:
        trained(callback, overtaken)
    assert ended.value.code == 17
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoint-4"], "step 8 was not saved"
    assert [event["event"] for event in seen(tmp_path)[-2:]] == ["fenced", "stopped"]


def test_the_control_is_cleared_for_a_caller_who_catches_the_end(tmp_path: Path) -> None:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from atftctl.hooks.transformers import RollbackCallback

    callback = RollbackCallback()
    (tmp_path / ".atftctl").mkdir()
    (tmp_path / protocol.COUNTER).write_text("2\n")
    control = TrainerControl(should_save=True)
    with pytest.raises(SystemExit):
        callback.on_step_end(TrainingArguments(output_dir="out", use_cpu=True), TrainerState(global_step=1), control)
    assert not control.should_save and control.should_training_stop


def test_only_a_checkpoint_that_is_whole_is_resumed_from(tmp_path: Path) -> None:
    from atftctl.hooks.transformers import RollbackCallback

    callback = RollbackCallback()
    assert callback.resume_from("last", "out") is None
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    whole = struct.pack("<Q", len(header)) + header + b"\0" * 4
    states = {"5": ("{}", whole), "40": ('{"a": 1}', whole), "100": ('{"a": 1}', whole[:-1]), "200": ('{"a', whole)}
    for step, (state, weights) in states.items():
        folder = tmp_path / "out" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(state)
        (folder / "model.safetensors").write_bytes(weights)
    (tmp_path / "out" / "checkpoint-x").mkdir()
    assert callback.resume_from("last", "out") == str(tmp_path / "out/checkpoint-40")
    assert callback.resume_from("best", "out") is None and callback.resume_from("scratch", "out") is None
    (tmp_path / "out/checkpoint-40/trainer_state.json").write_text('{"best_model_checkpoint": "out/checkpoint-40"}')
    assert callback.resume_from("best", "out") == str(tmp_path / "out/checkpoint-40")


def test_a_hidden_loss_is_told_of(tmp_path: Path) -> None:
    from atftctl.hooks.transformers import RollbackCallback

    trained(RollbackCallback(), logging_nan_inf_filter=True)
    assert "logging_nan_inf_filter" in next(event["message"] for event in seen(tmp_path) if event["event"] == "warning")


def test_a_version_without_a_method_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    from atftctl.hooks.transformers import RollbackCallback

    monkeypatch.delattr(transformers.TrainerCallback, "on_prediction_step")
    with pytest.raises(RuntimeError, match=r"transformers \S+ has no on_prediction_step: .* 4\.46 or newer"):
        RollbackCallback()
