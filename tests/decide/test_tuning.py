"""Thresholds from past runs: the smallest that is proven, never by chance, and never tighter by too few steps."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis.tuning import LIMIT, Proposal, Sweep, most_false, proposals, steps_needed, yaml_lines
from atftctl.domain.detector_rules import Detection
from atftctl.domain.run_rows import Row
from tests.support.series import RULES

LOSS = bank.Rules("loss")


def run(seed: int, count: int, *, spread: float = 0.1, heavy: float = 0.0, number: int = 1) -> Iterator[Row]:
    """A loss at one level; `heavy`: the share of rows after which it stays 40 % higher for a dozen rows."""
    rng, high = random.Random(seed), 0
    for step in range(1, count + 1):
        high = 12 if rng.random() < heavy else high - 1
        value = math.exp(rng.gauss(0, spread)) * (1.4 if high > 0 else 1.0)
        yield Row(step, number, {"loss": value})


def by_key(sweep: Sweep, limit: float = LIMIT) -> dict[str, Proposal]:
    return {proposal.key: proposal for proposal in proposals(sweep, limit)}


def test_too_few_steps_prove_nothing_and_nothing_becomes_tighter() -> None:
    sweep = Sweep(LOSS)
    sweep.feed("a", run(1, 600))
    made = by_key(sweep)
    assert {*made} == {"explosion_k", "drift_h"}, "only what has a column"
    for proposal in made.values():
        assert proposal.new.value == proposal.old.value and not proposal.proven
        assert proposal.more == steps_needed(0) - proposal.judged > 20_000


def test_enough_quiet_steps_allow_a_tighter_threshold_and_noisy_runs_need_a_wider_one() -> None:
    quiet, noisy = Sweep(LOSS), Sweep(LOSS)
    for seed in range(4):
        quiet.feed("a", run(seed, 900, number=seed + 1))
        noisy.feed("a", run(seed, 900, heavy=0.005, number=seed + 1))
    limit = 1e-3
    tight, wide = by_key(quiet, limit)["explosion_k"], by_key(noisy, limit)["drift_h"]
    assert tight.proven and tight.new.value < 6 and tight.bound <= limit and tight.held_out_bound <= limit, tight
    assert wide.new.value > 20 and wide.old.false > wide.new.false, wide
    assert wide.held_out <= most_false(wide.judged, limit)


def test_a_threshold_that_fits_one_run_only_is_not_proposed() -> None:
    """Of eight runs one is noisier: the other seven would propose a threshold at which it raises alarms."""
    sweep = Sweep(LOSS)
    for seed in range(8):
        sweep.feed("a", run(seed, 500, heavy=0.01 if seed == 3 else 0.0, number=seed + 1))
    made = by_key(sweep, 1e-3)["drift_h"]
    allowed = most_false(made.judged, 1e-3)
    assert made.held_out <= allowed and made.new.value > 20, made
    drift = sweep.trials["drift_h"].all
    others = [trial for trial in drift if sum(trial.false) - trial.false[3] <= allowed]
    assert min(trial.value for trial in others) < made.new.value


def test_delays_and_lost_faults_are_shown() -> None:
    sweep = Sweep(LOSS, fault_at=500)
    for seed in range(3):
        rows = (
            row if row.step < 500 else row._replace(values={"loss": 1.25 * row.values["loss"]})
            for row in run(seed, 700)
        )
        sweep.feed("a", rows)
    made = by_key(sweep)["drift_h"]
    assert sweep.faulty == 3 and made.judged < 1500 and made.old.seen == 3, made
    assert made.old.delay is not None and made.old.worst is not None and 0 < made.old.delay <= made.old.worst
    delays = [sum(trial.delays.values()) for trial in sweep.trials["drift_h"].all]
    assert delays[0] < delays[-1], "a greater threshold is later"


def test_the_thresholds_of_the_runbook_are_tried_too_and_are_the_old_ones() -> None:
    rules = bank.Rules("loss", limits=Detection(drift_h=17.0))
    sweep = Sweep(rules)
    sweep.feed("a", run(1, 500))
    made = by_key(sweep)["drift_h"]
    assert made.old.value == 17.0 and made.new.value == 20.0, "the default, since nothing is proven"


def test_every_threshold_does_something() -> None:
    """Of generated healthy rows: a tighter one has more alarms, a wider one fewer."""
    from tests.support.series import alarms, with_fault

    rows = [*with_fault("plus-50", 400, 800, 3)]
    for row in rows:
        row.values["memory"] += 0.2 * row.step  # type: ignore[index]
        row.values["seconds"] *= 1.4 if row.step > 300 else 1.0  # type: ignore[index]
        row.values["norm"] *= 100.0 if row.step > 700 else 1.0  # type: ignore[index]
    names = {"drift": "drift_h", "explosion": "explosion_k", "leak": "leak_growth", "step-time": "step_time_ratio",
             "gradient-limit": "gradient_times"}  # fmt: skip
    seen = {finding.detector for finding in alarms(rows)[1]}
    assert seen >= {*names}, seen
    for name, key in names.items():
        wide = bank.Rules(
            RULES.loss, RULES.gradient, RULES.memory, RULES.step_time, RULES.gradient_max,
            limits=Detection(**{key: 1e9}),
        )  # fmt: skip
        assert name not in {finding.detector for finding in alarms(rows, wide)[1]}, key


def test_trials_that_go_on_together_say_what_each_says_alone() -> None:
    rows = [*run(1, 400, heavy=0.01), *run(2, 400, heavy=0.02, number=2)]
    sweep = Sweep(LOSS)
    sweep.feed("a", rows)
    for trials in sweep.trials.values():
        for trial in trials.all:
            state, false = bank.State(), 0
            for row in rows:
                state, findings = bank.take(trial.rules, state, row)
                false += sum(finding.detector == trial.detector for finding in findings)
            assert (false, state) == (sum(trial.false), trial.state), (trial.detector, trial.value)


def test_how_many_false_alarms_are_few_enough() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert most_false(29_955) == -1 and most_false(29_956) == 0 and steps_needed(0) == 29_956
    for false in (1, 3):
        needed = steps_needed(false)
        assert (
            stats.beta.ppf(0.95, false + 1, needed - false)
            <= LIMIT
            < stats.beta.ppf(0.95, false + 1, needed - 1 - false)
        )


def test_the_lines_for_the_runbook() -> None:
    assert yaml_lines({}) == [] and yaml_lines({"drift_h": 25.0}) == ["detection:", "  drift_h: 25"]
