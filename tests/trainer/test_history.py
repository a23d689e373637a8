"""The trainer's history of checkpoints: which stay, how far they reach, and that nothing about it stops the training."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from atftctl import protocol
from atftctl.protocol import checkpoints
from atftctl.trainer.errors import FencedError
from atftctl.trainer.training import history
from atftctl.trainer.training.history import Rung, surplus
from tests.trainer.conftest import take
from tests.trainer.test_loop import events

Make = Callable[..., Any]
KEEP: dict[str, Any] = {"checkpoint": {"keep": 4}}


def steps_kept(most: int, saves: int, every: int = 50) -> list[int]:
    """The steps that are left after so many saves, the newest first."""
    rungs: list[Rung] = []
    for number in range(1, saves + 1):
        newest = Rung(number * every, 1, Path(str(number)))
        rungs.append(newest)
        gone = surplus(rungs, newest, 0, most)
        rungs = [rung for rung in rungs if rung not in gone]
        assert len(rungs) <= most
    return [rung.step for rung in reversed(rungs)]


@pytest.mark.parametrize("most", [3, 6, 10])
def test_the_newest_two_stay_and_the_gaps_grow(most: int) -> None:
    for saves in (1, 2, 3, 20, 500, 2000):
        kept = steps_kept(most, saves)
        assert kept[:2] == [saves * 50, (saves - 1) * 50][: len(kept)]
        ages = [kept[0] - step for step in kept[1:]]
        assert ages == sorted(ages)
        if saves >= 500 and most >= 6:
            assert ages[-1] >= saves * 50 * 0.05, "it reaches far back"
            assert sum(later > 1.2 * sooner for sooner, later in pairwise(ages)) >= len(ages) - 2


def test_one_and_two_are_enough() -> None:
    assert steps_kept(1, 30) == [1500]
    assert steps_kept(2, 30) == [1500, 1450]


def test_what_the_run_does_not_descend_from_goes_first() -> None:
    old = [Rung(step, 1, Path(f"old{step}")) for step in (100, 200, 300, 400)]
    new = Rung(250, 2, Path("new"))
    gone = surplus([*old, new], new, 200, 3)
    assert [rung.step for rung in gone] == [300, 400], "resumed from 200; 300 and 400 were given up"
    assert surplus([*old, new], new, 200, 5) == [], "as long as there is room, they stay for an undo"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / checkpoints.HISTORY).iterdir())


def test_each_save_is_kept_under_its_step(make: Make) -> None:
    trainer = make(**KEEP)
    for _ in range(6):
        take(trainer, 1)
        assert trainer.save(protocol.LAST)
    kept = names(trainer.root)
    assert len(kept) == 4 and kept[-1] == "step-00000006-g0.pth"
    newest = trainer.root / checkpoints.HISTORY / kept[-1]
    assert newest.samefile(trainer.root / protocol.LAST), "a hard link: no room, no time"
    assert trainer.save(protocol.BEST) and len(names(trainer.root)) == 4, "the best one has a place of its own"
    assert trainer.save(protocol.LAST, must=True)
    take(trainer, 1)
    assert trainer.save(protocol.LAST, must=True) and len(names(trainer.root)) == 5, "the last save removes nothing"
    assert not list((trainer.root / "run/0").glob("*.tmp"))


def test_none_is_kept_where_none_is_wanted(make: Make) -> None:
    trainer = make(checkpoint={"keep": 0})
    assert trainer.save(protocol.LAST)
    assert not (trainer.root / checkpoints.HISTORY).exists()


@pytest.mark.parametrize("kind", ["a full disk", "a file", "a pipe", "no links"])
def test_training_goes_on_whatever_is_wrong_with_the_history(
    make: Make, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(**KEEP)
    folder = trainer.root / checkpoints.HISTORY

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV if kind == "no links" else errno.ENOSPC, "No space left on device")

    if kind == "a file":
        folder.write_text("mine")
    elif kind == "a pipe":
        os.mkfifo(folder)
    else:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    for _ in range(3):
        take(trainer, 1)
        assert trainer.save(protocol.LAST), "the checkpoint itself is saved"
    warnings = [event for event in events(trainer.root) if event["event"] == protocol.WARNING]
    if kind == "no links":
        assert len(names(trainer.root)) == 3 and not warnings, "copies, where there can be no links"
    else:
        assert len(warnings) == 1 and "history" in warnings[0]["message"], "it is said once"


def test_while_a_change_waits_for_its_confirmation_the_run_before_it_keeps_its_own(make: Make) -> None:
    trainer = make(checkpoint={"keep": 2})
    folder, pending = trainer.root / checkpoints.HISTORY, trainer.root / protocol.PENDING
    folder.mkdir()
    pending.parent.mkdir(exist_ok=True)
    pending.write_text("{}")
    former = [checkpoints.history_name(step, 7) for step in (100, 200)]
    for name in former:
        (folder / name).write_text("of the run that the undo returns to")
    for _ in range(4):
        take(trainer, 1)
        assert trainer.save(protocol.LAST)
    assert names(trainer.root) == sorted([*former, "step-00000003-g0.pth", "step-00000004-g0.pth"])
    pending.unlink()
    assert trainer.save(protocol.LAST)
    assert names(trainer.root) == ["step-00000003-g0.pth", "step-00000004-g0.pth"]


def test_what_else_lies_in_the_folder_is_left_alone(make: Make) -> None:
    trainer = make(checkpoint={"keep": 1})
    folder = trainer.root / checkpoints.HISTORY
    folder.mkdir()
    (folder / "mine.pth").write_text("mine")
    os.symlink("/etc/hostname", folder / "step-00000001-g0.pth.link")
    os.mkfifo(folder / "step-00000009-g9.pth")
    for _ in range(3):
        take(trainer, 1)
        assert trainer.save(protocol.LAST)
    assert names(trainer.root) == [
        "mine.pth",
        "step-00000001-g0.pth.link",
        "step-00000003-g0.pth",
        "step-00000009-g9.pth",
    ]


def test_a_fenced_trainer_keeps_no_history(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(protocol.GENERATION, "1")
    trainer = make(**KEEP)
    assert trainer.save(protocol.LAST)
    (trainer.root / ".atftctl").mkdir()
    (trainer.root / protocol.COUNTER).write_text("2\n")
    with pytest.raises(FencedError):
        trainer.history.add(5, 4)
    assert names(trainer.root) == ["step-00000000-g1.pth"]


def test_a_name_that_was_not_given_by_the_trainer_has_no_place() -> None:
    assert checkpoints.parse_history_name(checkpoints.history_name(1500, 3)) == (1500, 3)
    assert checkpoints.parse_history_name("step-x-g1.pth") is None
    assert checkpoints.step_in("checkpoint-500") == 500 and checkpoints.step_in("weights") is None
    assert history.NO_LINKS
