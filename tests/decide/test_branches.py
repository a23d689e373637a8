"""Which rows of the metrics the newest model descends from, and what the others cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

np = pytest.importorskip("numpy")

from atftctl.decide.metrics.branches import MOST, arranged, branches  # noqa: E402
from atftctl.decide.metrics.selection import select  # noqa: E402
from atftctl.decide.metrics.summary import summaries  # noqa: E402
from atftctl.decide.metrics.thinning import thinned  # noqa: E402
from atftctl.domain.branches import Branch, Run  # noqa: E402
from atftctl.domain.metrics_table import Column, MetricsTable  # noqa: E402
from atftctl.operations.report.metrics_notes import of_branches  # noqa: E402


def table(
    steps: Sequence[int], generations: Sequence[int] | None = None, fresh: Sequence[int] = (), step_s: float = 2.0
) -> MetricsTable:
    count = len(steps)
    flags = np.zeros(count, bool)
    flags[list(fresh)] = True
    return MetricsTable(
        np.array(steps, np.int64),
        np.array(generations if generations is not None else [0] * count, np.int64),
        flags,
        {"step_s": Column(np.full(count, step_s), np.ones(count, bool))},
    )


def run(from_step: int, begun: float, *steps: int, generation: int = 0, parent: int = 0) -> Run:
    """A run with an event at its start and one ten seconds after another at these steps."""
    times = ((from_step, begun), *((step, begun + 10.0 * number) for number, step in enumerate(steps, 1)))
    return Run(generation, from_step, "last", times, parent)


def made(rows: MetricsTable, runs: Sequence[Run] = ()) -> tuple[Branch, ...]:
    return branches(arranged(rows), runs, "step_s")


def fates(known: Sequence[Branch]) -> list[tuple[str, int, int, int | None, int]]:
    return [(b.name, b.first_step, b.last_step, b.kept_to, b.discarded) for b in known]


def test_one_run_without_an_end_is_one_branch() -> None:
    assert fates(made(table([1, 2, 3]))) == [("1", 1, 3, 3, 0)]
    assert made(table([])) == ()


def test_a_rollback_discards_the_steps_behind_it() -> None:
    known = made(table([*range(1, 101), *range(61, 81)]))
    assert fates(known) == [("1", 1, 100, 60, 40), ("2", 61, 80, 80, 0)]
    assert known[0].cost_s == 80.0 and known[1].came_from == "1"


def test_a_branch_that_was_discarded_wholly() -> None:
    """Back to 60, forwards to 80, and back to 60 again: nothing of the second branch is left."""
    known = made(table([*range(1, 101), *range(61, 81), *range(61, 71)]))
    assert fates(known) == [("1", 1, 100, 60, 40), ("2", 61, 80, None, 20), ("3", 61, 70, 70, 0)]


def test_an_undone_rollback_gives_the_discarded_steps_back() -> None:
    """Back to 60, then the rollback is undone: the model goes on from step 100 of the first branch."""
    known = made(table([*range(1, 101), *range(61, 71), *range(101, 111)], [1] * 100 + [2] * 10 + [3] * 10))
    assert fates(known) == [("1", 1, 100, 100, 0), ("2", 61, 70, None, 10), ("3", 101, 110, 110, 0)]


def test_the_checkpoints_generation_tells_what_steps_can_not() -> None:
    """Generation 2 reached step 80, too, but the snapshot that generation 3 resumed from is of generation 1."""
    rows = table([*range(1, 101), *range(61, 101), *range(81, 91)], [1] * 100 + [2] * 40 + [3] * 10)
    runs = [run(0, 0.0, 100, generation=1), run(60, 2e3, 100, generation=2), run(80, 4e3, 90, generation=3, parent=1)]
    assert fates(made(rows, runs)) == [("1", 1, 100, 80, 20), ("2", 61, 100, None, 40), ("3", 81, 90, 90, 0)]
    assert made(rows, runs)[2].came_from == "1"
    assert made(rows)[2].came_from == "2", "without events, the newest branch that reached the step"


def test_from_new_weights_nothing_of_before_counts() -> None:
    known = made(table([*range(1, 11), *range(1, 6)]))
    assert fates(known) == [("1", 1, 10, None, 10), ("2", 1, 5, 5, 0)]
    assert known[1].came_from == ""


def test_a_second_header_is_a_start_unless_the_generation_says_otherwise() -> None:
    assert len(made(table([1, 2, 3, 4], fresh=[2]))) == 2
    assert len(made(table([1, 2, 3, 4], [7, 7, 7, 7], fresh=[2]))) == 1


def test_two_rows_of_a_step_are_no_way_back_where_one_trainer_wrote_them() -> None:
    """A row of the training, and one of the validation."""
    assert fates(made(table([1, 2, 2, 3, 3], [7] * 5))) == [("7", 1, 3, 3, 0)]
    assert len(made(table([1, 2, 2, 3]))) == 2


def test_generations_name_the_branches() -> None:
    assert [b.name for b in made(table([1, 2, 3, 2, 3], [4, 4, 4, 6, 6]))] == ["4", "6"]
    assert [b.name for b in made(table([1, 2, 4, 3, 4], [0, 0, 5, 5, 5]))] == ["other-1", "5", "5.2"]


def test_two_trainers_that_write_at_once_are_told_apart() -> None:
    """A trainer that was left behind goes on writing between the rows of the new one."""
    rows = table([1, 2, 3, 4, 3, 5, 4, 6, 5], [1, 1, 1, 1, 2, 1, 2, 1, 2])
    assert fates(made(rows)) == [("1", 1, 6, 2, 4), ("2", 3, 5, 5, 0)]


def test_thousands_of_branches_are_not_too_many() -> None:
    known = made(table([1, 2] * (2 * MOST)))
    assert len(known) == MOST and known[0].begin == 0 and known[-1].last_step == 2


def test_rows_that_are_lost_before_a_branch() -> None:
    """The rows of steps 4 to 6 are lost: the branch at 7 still descends from the one before."""
    assert fates(made(table([1, 2, 3, 7, 8], fresh=[3])))[0] == ("1", 1, 3, 3, 0)


def test_runs_are_found_by_where_they_resumed() -> None:
    runs = [run(0, 0.0, 1, 100), run(60, 5000.0), run(60, 6000.0, 61, 80), run(80, 9000.0, 81, 90)]
    known = made(table([*range(1, 101), *range(61, 91)]), runs)
    assert [tuple(r.started for r in b.runs) for b in known] == [(0.0,), (6000.0, 9000.0)], (
        "the run that made no step has no row, and the last one went on where the one before it ended"
    )


def test_a_run_that_was_killed_behind_its_checkpoint() -> None:
    """Its last event is the checkpoint that the next run resumed from: both runs are found, each for its branch."""
    runs = [run(0, 0.0, 1, 150), run(150, 500.0, 151)]
    known = made(table([*range(1, 192), *range(151, 265)]), runs)
    assert [[r.started for r in branch.runs] for branch in known] == [[0.0], [500.0]]


def test_a_live_reload_that_takes_up_an_earlier_checkpoint() -> None:
    """The generation stays, the step goes back: a branch for each leg, with its own times."""
    live = Run(4, 0, "last", ((0, 0.0), (100, 50.0), (60, 52.0), (80, 60.0)))
    known = made(table([*range(1, 101), *range(61, 81)], [4] * 120), [live])
    assert fates(known) == [("4", 1, 100, 60, 40), ("4.2", 61, 80, 80, 0)]
    assert [branch.times for branch in known] == [((0, 0.0), (100, 50.0)), ((60, 52.0), (80, 60.0))]
    assert known[1].came_from == "4"


def test_a_time_for_rows_that_no_event_names() -> None:
    (only,) = made(table([1, 2, 3, 4, 5]), [run(0, 1000.0, 1)])
    assert only.times == ((0, 1000.0), (1, 1010.0), (5, 1018.0)), "by the time that a step takes"


def test_since_selects_rows_by_the_time_of_events() -> None:
    rows = table([*range(1, 101), *range(61, 81)])
    runs = [run(0, 0.0, 50, 100), run(60, 1000.0, 80)]
    known = made(rows, runs)
    chosen = select(rows, known, "", 5.0)
    assert chosen.rows().steps.tolist() == [*range(25, 61), *range(61, 81)]
    assert select(rows, known, "all", 1005.0).rows().steps.tolist() == [*range(70, 81)]
    assert select(rows, made(rows), "", 5.0).unknown == ("1", "2")


def test_since_leaves_out_no_row_of_a_run_that_goes_on() -> None:
    """Its last event was an hour ago, and its rows say nothing of the time that they took."""
    rows = replace(table([*range(1, 1001)]), columns={})
    known = made(rows, [run(0, 1000.0, 1)])
    assert (len(select(rows, known, "", 4000.0)), select(rows, known, "", 4000.0).unknown) == (0, ("1",))
    assert len(select(rows, known, "", 900.0)) == 1000
    rows = replace(rows, written=4600.0)
    chosen = select(rows, made(rows, [run(0, 1000.0, 1)]), "", 4000.0)
    assert 160 < len(chosen) < 175 and not chosen.unknown, "by the time of the file"
    slow = replace(table([*range(1, 1001)], step_s=1.0), written=4600.0)
    assert made(slow, [run(0, 1000.0, 1)])[0].times[-1] == (1000, 4600.0), "evaluation takes time, too"


def test_the_history_and_other_selections() -> None:
    rows = table([*range(1, 6), *range(3, 5)])
    known = made(rows)
    assert select(rows, known, "", None).rows().steps.tolist() == [1, 2, 3, 4]
    assert select(rows, known, "1", None).rows().steps.tolist() == [1, 2, 3, 4, 5]
    assert select(rows, known, "all", None).rows().steps.tolist() == [1, 2, 3, 4, 5, 3, 4]
    assert [row["step"] for row in select(rows, known, "", None).tail(3)] == [2, 3, 4]


def test_summaries_count_what_they_leave_out() -> None:
    values = np.array([1.0, np.nan, np.inf, 4.0, np.nan])
    rows = MetricsTable(
        np.arange(5), np.zeros(5, np.int64), np.zeros(5, bool),
        {"loss": Column(values, np.array([True, True, True, True, False])), "none": Column(values, np.zeros(5, bool))},
    )  # fmt: skip
    loss = summaries(rows)["loss"]
    assert (loss.count, loss.missing, loss.non_finite) == (4, 1, 2)
    assert (loss.first, loss.last, loss.mean, loss.median, loss.min, loss.max) == (1.0, 4.0, 2.5, 2.5, 1.0, 4.0)
    assert (summaries(rows)["none"].count, summaries(rows)["none"].mean) == (0, None)


@pytest.mark.parametrize("count", [10, 100_000])
def test_a_thinned_curve_keeps_spikes_and_what_is_not_finite(count: int) -> None:
    ys = np.sin(np.arange(count) / 50.0)
    ys[count // 3], ys[count // 2], ys[2 * count // 3] = 1000.0, np.nan, -1000.0
    curve = thinned("loss", np.arange(count, dtype=float), ys)
    assert len(curve.xs) <= 5 * 800 and list(curve.xs) == sorted(curve.xs)
    assert curve.range == (-1000.0, 1000.0)
    assert (curve.xs[0], curve.xs[-1]) == (0.0, count - 1.0)
    assert any(y != y for y in curve.ys)


def test_a_trainer_that_counts_from_0_or_writes_few_rows_lacks_none() -> None:
    """As Lightning's logger writes them: "resumed from step -1", "the rows of the first -1 steps are in no file"."""
    from_zero = made(table([0, 10, 20, 30, 0, 10, 20]))
    assert [(branch.from_step, branch.came_from) for branch in from_zero] == [(0, ""), (0, "")]
    assert of_branches(from_zero) == () == of_branches(made(table([49, 99, 149])))
    assert "first 500 steps" in of_branches(made(table([501, 511, 521])))[0]
    assert "first 9 steps" in of_branches(made(table([10, 11, 12])))[0]
