"""Faults of a running trainer: hangs, kills at any instant, a full disk, settings changed under way."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from atftctl import protocol
from atftctl.protocol import TrainerExit, config_digest
from atftctl.trainer.errors import CheckpointError
from atftctl.trainer.telemetry import heartbeat
from atftctl.trainer.telemetry.heartbeat import Heartbeat
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training import checkpoint
from tests.support.projects import ROOT, wait_for
from tests.trainer.conftest import IMPROVED, Make, settings_of, take
from tests.trainer.test_loop import events
from tests.trainer.test_processes import RUN, losses, said, start


def ask(root: Path, want: str, **words: str) -> None:
    temp = root / "asked"
    temp.write_text(json.dumps({"run_id": RUN, "id": words.pop("id", "1"), "want": want, **words}))
    temp.replace(root / protocol.REQUEST)


def rewrite(root: Path, text: str) -> None:
    temp = root / "config.new"
    temp.write_text(text)
    temp.replace(root / "config.yaml")


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A trainer with the improvements on that has taken some steps."""
    child = start(tmp_path, request.param, training={"dates_per_step": 2})
    try:
        wait_for(lambda: len(losses(tmp_path)) > 3, 60)
        yield tmp_path
        ask(tmp_path, protocol.WANT_STOP)
        child.wait(120)
    finally:
        child.kill()


def test_settings_are_taken_up_without_a_restart(running: Path) -> None:
    """New flags, the checkpoint converted, the new digest echoed; a broken config and a wrong one are refused, and
    training goes on each time."""
    root = running
    values = settings_of(training={"dates_per_step": 2, "max_steps": 10**6})
    rewrite(root, yaml.safe_dump(values))
    ask(root, protocol.WANT_RELOAD, id="first")
    wait_for(lambda: said(root, protocol.RELOADED), 60)
    [event] = said(root, protocol.RELOADED)
    assert event["request"] == "first" and event["digest"] == config_digest(values)
    assert event["effective"]["improvements.use_ema"] is False and event["resumed_from"] == protocol.LAST
    for number, (text, words) in enumerate(
        [
            ("improvements: [", "config.yaml"),
            ("optimizer: {lr: 7}", "out of its range"),
            ("modle: {}", "did you mean model"),
        ]
    ):
        rewrite(root, text)
        ask(root, protocol.WANT_RELOAD, id=f"bad-{number}")
        wait_for(lambda number=number: len(said(root, protocol.RELOAD_REFUSED)) > number, 60)  # type: ignore[misc]
        assert words in said(root, protocol.RELOAD_REFUSED)[-1]["message"]
    rewrite(root, yaml.safe_dump({**values, "model": {"hidden_size": 16}}))
    ask(root, protocol.WANT_RELOAD, id="shape")
    wait_for(lambda: len(said(root, protocol.RELOAD_REFUSED)) > 3, 60)
    assert "does not fit this model" in said(root, protocol.RELOAD_REFUSED)[-1]["message"]
    steps = len(losses(root))
    wait_for(lambda: len(losses(root)) > steps + 3, 60)
    assert len(said(root, protocol.RELOADED)) == 1


def test_a_reload_goes_on_exactly_from_the_checkpoint(make: Make) -> None:
    """Reloaded with the same settings, the losses are those of a run that was left alone."""
    from atftctl.trainer.config import settings

    expected = take(make(**IMPROVED), 8)
    trainer = make(**IMPROVED)
    found = take(trainer, 4)
    values = settings_of(**IMPROVED)
    trainer.reload({"id": "1"}, lambda: (settings.from_mapping(values), config_digest(values)))
    assert found + take(trainer, 4) == expected
    assert events(trainer.root)[-1]["event"] == protocol.RELOADED


def test_a_reload_that_would_lose_steps_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room to save, or no such checkpoint: the old settings go on."""
    from atftctl.trainer.config import settings

    trainer = make()
    take(trainer, 2)
    values = settings_of()
    for asked, words in (({"id": "1"}, "could not be saved"), ({"id": "2", "resume": "best"}, "no checkpoint")):
        with monkeypatch.context() as patched:
            if asked["id"] == "1":
                full = OSError(28, "No space left on device")
                patched.setattr(checkpoint, "save", lambda *_, full=full, **__: (_ for _ in ()).throw(full))
            trainer.reload(asked, lambda: (settings.from_mapping(values), config_digest(values)))
        last = events(trainer.root)[-1]
        assert last["event"] == protocol.RELOAD_REFUSED and words in last["message"]
    assert trainer.progress.step == 2


def test_a_reload_draws_its_dates_from_the_new_split(make: Make) -> None:
    """None of the order that was drawn for the old one is kept."""
    from atftctl.trainer.config import settings

    trainer = make()
    take(trainer, 2)
    dates = trainer.dataset.panel.dates
    middle = int(trainer.dataset.split.train[len(trainer.dataset.split.train) // 2])
    values = settings_of(data={"train_end": dates[middle], "validation_end": dates[middle + 60]})
    trainer.reload({"id": "1"}, lambda: (settings.from_mapping(values), config_digest(values)))
    drawn = {trainer.batch(step)[0][1].date for step in range(3, 60)}
    assert max(drawn) < dates[middle], "and the gap of the longest horizon"
    values = settings_of(data={"horizons": [1, 5]})
    trainer.reload({"id": "2"}, lambda: (settings.from_mapping(values), config_digest(values)))
    assert "data.horizons" in events(trainer.root)[-1]["message"]


def test_a_request_of_another_run_is_a_leftover(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / protocol.REQUEST).write_text(json.dumps({"run_id": "another", "want": protocol.WANT_STOP}))
    child = start(tmp_path, 1, training={"max_steps": 3})
    assert child.wait(120) == TrainerExit.FINISHED
    assert len(losses(tmp_path)) == 3 and not (tmp_path / protocol.REQUEST).exists()


def test_a_section_that_does_not_end_is_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the watchdog, with the section and the limit; a long evaluation within its own limit is none."""
    recorder = Recorder(tmp_path, (1,))
    monkeypatch.setitem(heartbeat.LIMITS_S, "evaluate", 30.0)
    with Heartbeat(tmp_path, recorder, floor_s=0.2, check_s=0.02) as beat:
        beat.beat(0.001)
        with beat.section("evaluate"):
            time.sleep(0.5)
        assert events(tmp_path) == []
        time.sleep(0.6)
        [event] = events(tmp_path)
        assert event["event"] == protocol.HANG and event["section"] == "step" and event["limit_s"] == pytest.approx(0.2)
        beat.beat(0.3)
        assert events(tmp_path)[-1]["event"] == protocol.WARNING, "it went on after all, and that is said too"
        assert beat.limit_s() == pytest.approx(max(0.2, 5 * 0.001)), "five times the 99th percentile"
    said_last = json.loads((tmp_path / protocol.HEARTBEAT).read_text())
    assert said_last["section"] == "step" and said_last["pid"] == os.getpid()


def test_a_section_inside_another_gives_way_to_it(tmp_path: Path) -> None:
    """A save within a reload: what follows is the reload still, with its longer limit."""
    beat = Heartbeat(tmp_path, Recorder(tmp_path, (1,)))
    with beat.section("reload"):
        with beat.section("save"):
            pass
        assert beat.limit_s() == heartbeat.LIMITS_S["reload"]
    assert beat.limit_s() == heartbeat.STEP_FLOOR_S


def test_a_line_written_half_does_not_take_the_next_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path, (1,))
    real, short = os.write, [True]

    def write(file: int, data: bytes) -> int:
        if short.pop() if short else False:
            return real(file, data[:10])
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    recorder.event(protocol.WARNING, message="lost")
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    recorder.event(protocol.WARNING, message="lost too")
    monkeypatch.setattr(os, "write", real)
    recorder.event(protocol.STOPPED, exit_code=0, reason="seen")
    lines = (tmp_path / protocol.EVENTS).read_bytes().splitlines()
    assert [one["event"] for one in map(protocol.parse_event, lines) if one] == ["stopped"]


def test_a_kill_at_any_instant_leaves_a_checkpoint_to_resume_from(tmp_path: Path) -> None:
    """SIGKILL at random times of a trainer that saves after every step; each time the next one goes on."""
    rng = random.Random(0)
    reached = 0

    def saved() -> int:
        return len(said(tmp_path, protocol.CHECKPOINT))

    for _ in range(6):
        before = saved()
        child = start(tmp_path, 1, training={"checkpoint_every": 1, "max_steps": 10**6})
        try:
            wait_for(lambda: saved() > before + 2, 60)  # noqa: B023 - called within this turn
            time.sleep(rng.uniform(0, 0.1))
            child.kill()
            child.wait(120)
        finally:
            child.kill()
        step = checkpoint.load(tmp_path / protocol.LAST)["step"]
        assert step >= reached
        checkpoint.load(tmp_path / protocol.PREVIOUS)
        reached = step
    assert [event["resumed_from"] for event in said(tmp_path, protocol.STARTED)] == ["scratch", *[protocol.LAST] * 5]


def test_a_checkpoint_put_together_of_two_is_refused_by_its_hash(make: Make, tmp_path: Path) -> None:
    """Its CRCs are right; the weights are another file's."""
    trainer = make()
    take(trainer, 2)
    trainer.save(protocol.LAST)
    path = trainer.root / protocol.LAST
    payload = torch.load(path, weights_only=True)
    payload["model"]["head.outer.bias"] += 1
    torch.save(payload, path)
    with pytest.raises(CheckpointError, match=r"last\.pth is damaged: its content does not have the hash"):
        checkpoint.load(path)


def test_the_checkpoint_before_is_taken_when_the_last_is_damaged(make: Make) -> None:
    trainer = make()
    for _ in range(2):
        take(trainer, 2)
        trainer.save(protocol.LAST)
    path = trainer.root / protocol.LAST
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 512):  # one byte may be one of those between two tensors
        data[at] ^= 1
    path.write_bytes(data)
    again = make(root=trainer.root)
    assert again.resume("last") == protocol.PREVIOUS and again.progress.step == 2
    assert (trainer.root / protocol.DAMAGED).read_bytes() == bytes(data), "put aside, for whoever wants to know"
    take(again, 1)
    again.save(protocol.LAST)
    assert checkpoint.load(trainer.root / protocol.PREVIOUS)["step"] == 2
    assert any("last.pth" in event.get("message", "") for event in events(trainer.root))


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full_leaves_the_old_checkpoint(make: Make, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        trainer = make(root=disk / "run")
        trainer.save(protocol.LAST)
        before = (trainer.root / protocol.LAST).read_bytes()
        take(trainer, 1)
        filler = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match="No space"):
            while True:
                os.write(filler, b"x" * 4096)
        os.close(filler)
        trainer.save(protocol.LAST)
        assert (trainer.root / protocol.LAST).read_bytes() == before
        (disk / "filler").unlink()
        take(trainer, 1)
        trainer.save(protocol.LAST)
        assert checkpoint.load(trainer.root / protocol.LAST)["step"] == 2
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_predictions_that_are_not_finite_end_the_run(make: Make) -> None:
    from atftctl.trainer.errors import Ended

    trainer = make(training={"evaluate_every": 1})
    take(trainer, 1)
    with torch.no_grad():
        trainer.parts.model.head.outer.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    with pytest.raises(Ended) as ended:
        trainer._evaluate_if_due()
    assert ended.value.code is TrainerExit.ANOMALY
    assert not (trainer.root / protocol.BEST).exists()


def test_a_person_sees_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path: Path) -> None:
    import pexpect

    values = settings_of(training={"max_steps": 120, "log_every": 50, "evaluate_every": 30})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    words = ["-m", "atftctl.trainer", "train", "--config", "config.yaml"]
    env: dict[str, Any] = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    screen = pexpect.run(
        " ".join([sys.executable, *words]),
        cwd=str(tmp_path),
        env=env,
        timeout=60,
        encoding="utf-8",
        dimensions=(24, 80),
    )
    assert "120/120" in screen and "best RankIC" in screen
    assert (tmp_path / protocol.LOG).read_text().count("of predicting nothing") == 2
