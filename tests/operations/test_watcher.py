"""The watcher looks at a trainer that is well, dies, starts again or lies: what it sees, and when it says that it can't."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

import pytest

from atftctl import protocol
from atftctl.operations.monitoring import watch_keeping, watched_run
from atftctl.operations.monitoring.watch_lines import verdict_of
from atftctl.operations.monitoring.watch_state import Watched
from atftctl.operations.project import open_project
from tests.support.projects import Project
from tests.support.watching import HEADER, Trainer


@pytest.fixture
def trainer(project: Project) -> Trainer:
    return Trainer(project)


def jump(monkeypatch: pytest.MonkeyPatch, wall: float = 0.0, steady: float = 0.0) -> None:
    """The clocks go on by so many seconds: that of the wall, and the one that nobody can set."""
    now, monotonic = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: now() + wall)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + steady)


def test_healthy_then_a_loss_that_is_no_number_in_one_step(trainer: Trainer) -> None:
    trainer.rows(80)
    looking = trainer.watcher()
    look = looking.look()
    assert look.sees and look.diagnosis.healthy and not look.findings and look.step == 80
    trainer.rows(1, loss="nan", loss_rel="nan")
    look = looking.look()
    assert [finding.detector for finding in look.findings] == ["non-finite"] and look.active == ("non-finite",)
    assert verdict_of(look) == "fault" and look.diagnosis.main and look.diagnosis.main.cause == "anomaly"
    assert not looking.look().findings, "an alarm is told once"


def test_evaluations_are_counted_by_rows_or_by_events(trainer: Trainer) -> None:
    trainer.project.write(protocol.METRICS, HEADER.replace("epoch", "rankic_h1"))
    looking = trainer.watcher()
    trainer.rows(3, epoch="")
    assert looking.look().evaluations == 0
    trainer.rows(2, epoch=0.03)
    assert looking.look().evaluations == 2
    for _ in range(5):
        trainer.event(protocol.EVALUATED, rankic_h1=0.05)
    assert looking.look().evaluations == 5


@pytest.mark.parametrize("value", ["nan", None])
def test_an_evaluation_without_a_value_is_not_healthy(trainer: Trainer, value: str | None) -> None:
    """Lightning-AI/pytorch-lightning#2636, Bjarten/early-stopping-pytorch#28: NaN compares as no worse than anything.
    A model whose forecasts are all the same has no rank correlation."""
    trainer.rows(80)
    looking = trainer.watcher()
    trainer.event(protocol.EVALUATED, rankic_h1=0.05, by_date={})
    assert looking.look().diagnosis.healthy
    trainer.event(protocol.EVALUATED, rankic_h1=value, by_date={})
    look = looking.look()
    assert verdict_of(look) == "inconclusive" and look.sees, look
    assert any("no value of RankIC@1d" in text for text in look.diagnosis.unknown), look.diagnosis
    told = trainer.project.run("diagnose")
    assert told.code == 6 and "the newest evaluation has no value of RankIC@1d" in told.out, told
    trainer.event(protocol.EVALUATED, rankic_h1=0.05, by_date={})
    assert looking.look().diagnosis.healthy, "the next one has a value again"


def test_the_end_is_seen_at_the_next_look(trainer: Trainer) -> None:
    trainer.rows(80)
    looking = trainer.watcher()
    assert looking.look().process.state == "running"
    trainer.event(protocol.OOM, message="no memory", section="step", recoverable=False)
    trainer.kill()
    look = looking.look()
    assert look.process.state == "died" and look.sees
    assert look.diagnosis.main and look.diagnosis.main.cause == "out-of-memory"
    assert look.diagnosis.main.confidence == "certain"


def test_a_bare_kill_is_seen_and_has_no_cause(trainer: Trainer) -> None:
    trainer.rows(80)
    looking = trainer.watcher()
    looking.look()
    trainer.kill()
    trainer.project.write("logs/trainer.out", "Killed")  # a last line without an end
    looking.look()
    look = looking.look()
    assert look.process.state == "died" and verdict_of(look) == "inconclusive" and look.sees
    assert any("Killed" in sign.text for sign in look.diagnosis.notes)


def test_an_error_in_the_log_names_the_cause_of_the_end(trainer: Trainer) -> None:
    trainer.rows(80)
    looking = trainer.watcher()
    looking.look()
    with (trainer.root / protocol.LOG).open("a") as log:
        log.write("Traceback (most recent call last):\n  File 'a.py', line 1\n")
        log.flush()
        looking.look()
        log.write("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n")
    trainer.kill()
    looking.look()
    look = looking.look()
    assert look.diagnosis.main and look.diagnosis.main.cause == "out-of-memory" and verdict_of(look) == "fault"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("missing", "can't be read: there is no such file"),
        ("never there", "no metrics of this run"),
        ("stale", "s old, and the trainer runs"),
        ("future", "in the future"),
        ("later", "of a newer trainer"),
        ("earlier", "no metrics of this run"),
        ("torn", "are torn"),
        ("unreadable", "can't be read"),
        ("foreign", "was started on"),
        ("no record", "has not started a trainer here"),
    ],
)
def test_blind(trainer: Trainer, fault: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault not in ("never there", "earlier"):
        trainer.rows(80)
    looking = trainer.watcher()
    if fault not in ("never there", "earlier"):
        assert looking.look().sees
    path = trainer.root / protocol.METRICS
    match fault:
        case "missing":
            path.unlink()
            looking.look()
            jump(monkeypatch, 5, 5)
        case "never there":
            path.unlink()
            edit(trainer, started_at="2026-01-01T00:00:00+00:00")
        case "stale":
            os.utime(path, (time.time() - 4000,) * 2)
        case "future":
            os.utime(path, (time.time() + 4000,) * 2)
        case "later":
            trainer.rows(1, generation=99)
        case "earlier":
            edit(trainer, started_at="2026-01-01T00:00:00+00:00", generation=5)
            trainer.rows(80, generation=4, loss="nan")
        case "torn":
            with path.open("a") as file:
                file.write("5,0,1.0\n" * 40)
        case "unreadable":
            path.unlink()
            os.mkfifo(path)
        case "foreign":
            edit(trainer, host="elsewhere")
        case "no record":
            (trainer.root / ".atftctl" / "process.json").unlink()
    look = looking.look()
    assert not look.sees and text in look.blind and verdict_of(look) == "inconclusive" and not look.findings, look
    heart = trainer.root / ".atftctl" / "watch.heartbeat.json"
    keeper = watch_keeping.Keeper(open_project(trainer.root))
    keeper.keep(looking.state, look, now=True)
    assert not heart.exists()


def edit(trainer: Trainer, **fields: Any) -> None:
    trainer.project.write(".atftctl/process.json", json.dumps({**trainer.record, **fields}))


def test_a_few_torn_lines_in_a_long_run_are_no_blindness(trainer: Trainer) -> None:
    looking = trainer.watcher()
    for _ in range(30):
        trainer.rows(50)
        with (trainer.root / protocol.METRICS).open("a") as file:
            file.write("5,0,1.0\n")
        assert looking.look().sees


def test_while_it_starts_there_are_no_rows_and_that_is_no_blindness(trainer: Trainer) -> None:
    looking = trainer.watcher()
    trainer.beat("start", limit_s=1800)
    look = looking.look()
    assert look.sees and verdict_of(look) == "inconclusive"


def test_evaluation_and_saving_have_limits_of_their_own(trainer: Trainer) -> None:
    trainer.rows(80)
    looking = trainer.watcher()
    looking._silent_from = 0.0
    path = trainer.root / protocol.METRICS
    for section in ("evaluate", "save"):
        os.utime(path, (time.time() - 600,) * 2)
        trainer.beat(section, limit_s=1800, age_s=600)
        look = looking.look()
        assert look.sees and look.diagnosis.healthy, section
        trainer.beat(section, limit_s=300, age_s=600)
        look = looking.look()
        assert look.sees and look.diagnosis.main and look.diagnosis.main.cause == "hang", section
    os.utime(path)
    trainer.beat("step")
    assert looking.look().diagnosis.healthy


def test_nothing_of_an_earlier_run_outlives_a_restart(trainer: Trainer) -> None:
    """A detector that stays true after a restart would stop every run that follows."""
    trainer.rows(80)
    trainer.rows(3, loss="nan", loss_rel="nan")
    trainer.event("saving")
    trainer.event(protocol.HANG, section="save", seconds=900, limit_s=300)
    trainer.event(protocol.SAVE_FAILED, path=protocol.LAST, message="no space left on device")
    trainer.beat("save", limit_s=1, age_s=900)
    looking = trainer.watcher()
    first = looking.look()
    assert first.active == ("non-finite",) and verdict_of(first) == "fault"
    trainer.kill()
    looking.look()
    trainer.begin()
    trainer.event("saving", run_id="an earlier one")
    trainer.rows(80)
    for again in (looking, trainer.watcher(looking.state), trainer.watcher(Watched("earlier", 1, ""))):
        look = again.look()
        assert look.generation == first.generation + 1 and look.sees
        assert not look.active and look.diagnosis.healthy and look.diagnosis.hypotheses == (), look.diagnosis


def test_it_was_stopped_or_the_clock_was_set(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how long the trainer was silent meanwhile: silence is counted from now on."""
    trainer.rows(80)
    looking = trainer.watcher()
    looking.look()
    trainer.beat("step", limit_s=60)
    jump(monkeypatch, wall=7200)
    assert looking.look().diagnosis.healthy, "the clock was set"
    jump(monkeypatch, wall=7200, steady=7200)
    assert looking.look().diagnosis.healthy, "the watcher was stopped"
    for _ in range(9):
        jump(monkeypatch, wall=8, steady=8)
        look = looking.look()
    assert look.diagnosis.main and look.diagnosis.main.cause == "hang", "but it is counted"


def test_looks_that_are_far_apart_see_silence_all_the_same(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--interval 60`, no look is a gap; else it would never hang, and its rows would never be old."""
    trainer.rows(80)
    looking = trainer.watcher(interval_s=60)
    looking.look()
    for _ in range(9):
        jump(monkeypatch, wall=60, steady=60)
        look = looking.look()
    assert "the newest row of the metrics is" in look.blind
    trainer.beat("step", limit_s=60, age_s=540)
    look = looking.look()
    assert look.diagnosis.main and look.diagnosis.main.cause == "hang"
    jump(monkeypatch, wall=7200, steady=7200)
    assert looking.look().diagnosis.main is None, "the watcher was stopped"


def test_a_clock_that_was_set_back(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer.rows(80)
    looking = trainer.watcher()
    looking.look()
    jump(monkeypatch, wall=-7200)
    assert "a clock is wrong" in looking.look().blind
    trainer.rows(1)
    os.utime(trainer.root / protocol.METRICS, (time.time(),) * 2)
    assert looking.look().sees


def test_a_look_that_fails_is_blind_and_nothing_is_read_twice(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.rows(80)
    looking = trainer.watcher()
    looking.look()
    trainer.rows(5, loss=90, loss_rel=90)

    def fails(*_: object) -> None:
        raise OSError(24, "Too many open files", "/proc/self/fd")

    with monkeypatch.context() as patched:
        patched.setattr(watched_run.WatchedRun, "read_logs", fails)
        look = looking.look()
        assert not look.sees and "the watcher can't look: Too many open files" in look.blind and not look.findings
        assert looking.state and looking.state.rows.total == 80
    look = looking.look()
    assert look.sees and look.findings and looking.state.rows.total == 85 and looking.state.total == len(look.findings)


def test_killed_at_any_look_it_sees_the_same(trainer: Trainer) -> None:
    """What an unkilled watcher sees, a watcher sees that was killed again and again, each time after some more looks
    than its state knows of."""
    rng = random.Random(11)
    project = open_project(trainer.root)
    looking, keeper = trainer.watcher(), watch_keeping.Keeper(project)
    metrics = trainer.root / protocol.METRICS
    for number in range(60):
        trainer.rows(rng.randrange(12), **({"loss": "90", "loss_rel": "90"} if rng.random() < 0.1 else {}))
        with metrics.open("a") as file:
            file.write("7,0,")
            file.flush()
            looking.look()
            file.write("\n")
        if rng.random() < 0.1:
            trainer.event(protocol.EVALUATED, rankic_h1=0.05)
        if rng.random() < 0.05:
            metrics.rename(f"{metrics}.{number}")
            metrics.write_text(HEADER)
        look = looking.look()
        if rng.random() < 0.3:
            keeper.keep(looking.state, look, now=True)
        if rng.random() < 0.3:
            looking.close()
            looking = trainer.watcher(trainer.kept())
    looking.look()
    assert looking.state
    seen, unkilled = looking.state.to_json(), replayed(trainer)
    assert seen["total"] > 3 and seen["rows"]["total"] == trainer.step
    for part in ("detectors", "alarms", "total"):
        assert seen[part] == unkilled[part], part
    assert seen["events"]["evaluations"] == unkilled["events"]["evaluations"] > 3


def replayed(trainer: Trainer) -> dict[str, Any]:
    """What a watcher sees that reads everything at once."""
    parts = sorted(trainer.root.glob("logs/metrics.csv.*"), key=lambda path: int(path.suffix[1:]))
    text = b"".join(path.read_bytes() for path in (*parts, trainer.root / protocol.METRICS))
    for path in (*parts, trainer.root / protocol.METRICS):
        path.unlink()
    trainer.project.write(protocol.METRICS, text)
    edit(trainer, metrics_inode=0, metrics_from=0)
    looking = trainer.watcher()
    looking.look()
    assert looking.state
    return looking.state.to_json()
