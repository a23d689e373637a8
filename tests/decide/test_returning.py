"""Has the same fault returned? By the history alone."""

from __future__ import annotations

from typing import Any

import pytest

from atftctl.decide.plans.way_back import seconds_a_step
from atftctl.decide.returning import attempts, earlier_than
from atftctl.domain.branches import Run
from atftctl.domain.checkpoint import Checkpoint, Graded, ancestors, common_step, outweighs, reaches


def entry(operation: str, step: int, *, files: int = 1, outcome: str = "done", **about: str) -> dict[str, Any]:
    return {
        "operation": operation,
        "command": "rollback",
        "outcome": outcome,
        "files": ["f"] * files,
        "generation": 2,
        "about": {"symptom": "s", "fault_step": str(step), **about},
    }


def operations(entries: list[dict[str, Any]], step: int) -> list[str]:
    return [attempt.operation for attempt in attempts(entries, "s", step)]


def test_progress_ends_the_series() -> None:
    entries = [entry("a", 100), entry("b", 300), entry("c", 300)]
    assert operations(entries, 300) == ["b", "c"], "from 100 to 300 was progress"
    assert operations(entries, 301) == []
    assert operations(entries, 90) == ["a", "b", "c"]


def test_what_counts_as_tried() -> None:
    assert operations([entry("a", 100, files=0)], 100) == ["a"], "it only started the trainer again"
    assert operations([entry("a", 100, outcome="put back")], 100) == []
    undo = {"operation": "u", "command": "undo", "files": ["f"], "outcome": "done", "about": {"undo_of": "a"}}
    assert operations([entry("a", 100), undo], 100) == []
    assert operations([entry("a", 100), {**undo, "outcome": "put back: disk full"}], 100) == ["a"]
    assert operations([{**entry("a", 100), "about": {"symptom": "other", "fault_step": "100"}}], 100) == []
    assert operations([{"operation": "x", "command": "rollback"}, {"command": "undo", "about": None}], 1) == []


def test_a_trainer_that_died_in_its_first_step_came_no_further() -> None:
    first_step = {"symptom": "s", "fault_step": "", "fault_config": "c"}
    entries = [entry("a", 850), {**entry("b", 0), "about": first_step}, entry("c", 0)]
    assert operations(entries, 850) == ["a", "b", "c"]
    assert [attempt.operation for attempt in attempts(entries, "s", None)] == ["a", "b", "c"]
    assert operations(entries, 851) == []
    assert [attempt.operation for attempt in attempts([entry("a", 100), entry("b", 850)], "s", None)] == ["b"]


def test_a_change_that_no_trainer_ran_with_was_not_tried() -> None:
    waiting = entry("a", 100)
    del waiting["generation"]
    started = {"operation": "t", "command": "trainer start", "files": [], "generation": 3}
    assert operations([waiting], 100) == []
    assert operations([waiting, started], 100) == ["a"]
    assert operations([waiting, entry("b", 100)], 100) == ["b"], "the next change came before any start"
    assert operations([{**waiting, "first_step": {"loss": 1}}], 100) == ["a"], "the running trainer has loaded it"


def test_the_next_checkpoint_is_before_all_that_were_tried() -> None:
    tried = attempts([entry("a", 100, checkpoint_step="80"), entry("b", 100, checkpoint_step="40")], "s", 100)
    assert earlier_than(tried) == 40
    assert earlier_than(attempts([entry("a", 100, checkpoint_step="-3")], "s", 100)) is None


def saved(step: int | None, generation: int, at: float) -> Checkpoint:
    return Checkpoint(f"{step}-{generation}-{at}", 1, at, step, generation)


def run(generation: int, from_step: int, parent: int = 0) -> Run:
    return Run(generation, from_step, "", ((from_step, 0.0),), parent)


def test_ancestors_by_generation() -> None:
    others = [saved(step, 1, step) for step in (100, 200, 300, 400)] + [saved(250, 2, 500), saved(220, 2, 450)]
    newest = saved(260, 2, 600)
    by_runs = ancestors(newest, others, [run(1, 0), run(2, 200, 1)])
    assert [(checkpoint.step, checkpoint.generation) for checkpoint in by_runs] == [
        (250, 2),
        (220, 2),
        (200, 1),
        (100, 1),
    ]


def test_ancestors_without_events_fall_with_age() -> None:
    others = [saved(100, 0, 1), saved(300, 0, 2), saved(120, 0, 4), saved(None, 0, 3)]
    newest = saved(130, 0, 5)
    assert [checkpoint.step for checkpoint in ancestors(newest, others, [])] == [120, None, 100]
    looping = [run(1, 10, 2), run(2, 10, 1)]
    assert ancestors(saved(50, 1, 9), [saved(5, 2, 1)], looping), "a circle in the events ends"


def test_a_copy_of_the_project_that_has_lost_the_times() -> None:
    """As `cp -r` makes it: the files are written in any order."""
    newest = saved(400, 2, 9)
    others = [saved(100, 1, 5), saved(200, 1, 3), saved(300, 2, 4), saved(250, 2, 1), saved(350, 1, 2)]
    runs = [run(1, 0, 0), run(2, 200, 1)]
    assert [checkpoint.step for checkpoint in ancestors(newest, others, runs)] == [300, 250, 200, 100]


def test_the_last_step_that_two_runs_have_in_common() -> None:
    first, second = run(1, 0, 0), run(2, 300, 1)
    third = run(3, 200, 1)  # went back, and is beside the second one
    runs = [first, second, third]
    assert common_step(runs, (2, 450), (1, 250)) == 250, "an earlier step of the same history"
    assert common_step(runs, (3, 250), (2, 450)) == 200, "an undo: both came by step 200"
    assert common_step(runs, (3, 250), (0, 100)) is None and common_step([], (3, 250), (2, 450)) is None


def test_pauses_cost_no_time() -> None:
    first = Run(1, 0, "", ((0, 0.0), (100, 200.0)))
    second = Run(2, 100, "", ((100, 90_000.0), (200, 90_200.0)), 1)
    assert seconds_a_step([first, second], 0, 200) == 2.0
    assert seconds_a_step([], 0, 200) is None


def test_a_measurement_that_saw_less_replaces_nothing() -> None:
    failed = Graded("a", "loads", "steps", "the loss grows", "c", steps=40)
    assert not outweighs(Graded("a", "loads", config="c"), failed)
    assert not outweighs(Graded("a", "quality", config="c", steps=10), failed)
    assert outweighs(Graded("a", "steps", config="c", steps=40), failed)
    assert not outweighs(Graded("a", "loads", config="c"), Graded("a", "steps", config="c"))
    assert outweighs(failed, Graded("a", "quality", config="c")), "what fails now is not good"


def test_grades_in_order_and_records_of_nonsense() -> None:
    assert reaches("steps", "loads") and not reaches("whole", "loads") and reaches("", "")
    good = Graded("a", "steps", config="c")
    assert Graded.from_json(good.to_json()).grade == "steps"
    for wrong in ({"grade": "best"}, {"steps": "9"}, {"sha256": 1}, {"more": 1}):
        with pytest.raises((ValueError, TypeError)):
            Graded.from_json({**good.to_json(), **wrong})
