"""Judging a window of a trainer's words, and the search for guilty improvements: pure functions, told what was seen."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from atftctl.decide.detectors.bank import Rules
from atftctl.decide.verdicts import bisect, health, probe_rows
from atftctl.domain.detector_rules import Detection, DetectorRule
from atftctl.domain.errors import Refused
from atftctl.domain.metrics_window import Window
from atftctl.domain.process_state import FOLLOWS, Signs, state_of
from atftctl.domain.runbook import Checks, Detector
from atftctl.domain.verdict import Verdict
from atftctl.protocol import TrainerExit


def rows(count: int, **columns: Callable[[int], float]) -> list[dict[str, str]]:
    rng = random.Random(7)
    base: dict[str, Callable[[int], float]] = {
        "loss": lambda n: 1.0,
        "loss_rel": lambda n: 1.0 - n / count * 0.05 + rng.gauss(0, 0.02),
        "grad_norm": lambda n: 1.5 + rng.random(),
        "rss_mb": lambda n: 240 + rng.random(),
    }
    return [{"step": str(n + 1), **{k: str(f(n)) for k, f in (base | columns).items()}} for n in range(count)]


OVER = {"over": DetectorRule("loss_rel", above=2.0, rows=5, symptom="divergence")}
RULES = Rules("loss_rel", "grad_norm", "rss_mb", gradient_max=5.0, thresholds=OVER)


def judge(found: list[dict[str, str]], rules: Rules = RULES, **options: Any) -> tuple[Verdict, str]:
    seen = Window(found, options.pop("alive", True), options.pop("fatal", None), options.pop("silent_s", None))
    return health.judge(seen, rules, steps=options.pop("steps", 300), **options)


def judge_probe(found: list[dict[str, str]], steps: int = 300) -> tuple[Verdict, str]:
    return probe_rows.judge(probe_rows.window_of(found), steps=steps, grad_norm_max=5.0)


def test_health_passes_and_too_little_never_does() -> None:
    assert judge(rows(400))[0] is Verdict.PASS
    assert judge(rows(299))[0] is Verdict.INCONCLUSIVE
    assert judge([])[0] is Verdict.INCONCLUSIVE
    assert judge([{"step": "x"}])[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alive": False}, "ended without a final event"),
        ({"alive": False, "fatal": {"event": "oom", "step": 3, "message": "no memory"}}, "out of memory in step 4"),
        ({"silent_s": 300.0}, "no sign of life"),
    ],
)
def test_what_ended_or_hangs_fails_whatever_it_said(options: dict[str, Any], words: str) -> None:
    verdict, said = judge(rows(400), **options)
    assert verdict is Verdict.FAIL and words in said


@pytest.mark.parametrize("name", ["loss", "loss_rel"])
def test_one_number_that_is_none_fails(name: str) -> None:
    assert judge_probe(rows(400, **{name: lambda n: math.nan if n == 200 else 1.0}))[0] is Verdict.FAIL


def test_steps_that_16_bit_training_skips_do_not_fail() -> None:
    skipped = rows(400, grad_norm=lambda n: math.inf if n in (0, 1, 2, 3, 200) else 1.0)
    assert judge(skipped)[0] is Verdict.PASS
    assert judge(rows(400, grad_norm=lambda n: math.nan if n >= 380 else 1.0))[0] is Verdict.FAIL
    assert judge(rows(400, grad_norm=lambda n: math.inf if 100 <= n < 120 else 1.0))[0] is Verdict.FAIL
    assert judge(rows(12, grad_norm=lambda n: math.inf), steps=10)[0] is Verdict.FAIL, "none is finite"


def test_explosion_and_its_look_alikes() -> None:
    assert judge(rows(400, grad_norm=lambda n: 9.0 if n in (200, 202, 204) else 1.0))[0] is Verdict.FAIL
    assert judge(rows(400, grad_norm=lambda n: 90.0 if n == 200 else 1.0))[0] is Verdict.PASS, "a single spike"
    fresh = rows(400, grad_norm=lambda n: 80 * 0.99**n)
    assert judge(fresh)[0] is Verdict.PASS, "fresh weights begin high, and are well"
    assert judge(rows(400, grad_norm=lambda n: 80 * 1.1**n))[0] is Verdict.FAIL


def test_a_loss_that_grows_and_one_that_is_worthless() -> None:
    verdict, words = judge(rows(400, loss_rel=lambda n: 1.0 + 0.004 * max(n - 150, 0)))
    assert verdict is Verdict.FAIL and "grows" in words
    assert judge(rows(400, loss_rel=lambda n: 30.0))[0] is Verdict.FAIL


@pytest.mark.parametrize("count", [20, 70, 400])
def test_a_column_that_is_missing_is_never_healthy(count: int) -> None:
    """Only `loss` was written, and it went from 4 to 8,662,842: that passed."""
    growth = (8_662_842 / 4) ** (1 / (count - 1))
    grown = [{"step": str(n + 1), "loss": str(4 * growth**n)} for n in range(count)]
    verdict, words = judge_probe(grown, steps=10)
    assert verdict is Verdict.FAIL and "the loss grows" in words
    steady = [{"step": str(n + 1), "loss": "4.0"} for n in range(count)]
    verdict, words = judge_probe(steady, steps=10)
    assert verdict is Verdict.INCONCLUSIVE and "loss_rel, grad_norm" in words
    for name in ("loss_rel", "grad_norm"):
        without = [{key: value for key, value in row.items() if key != name} for row in rows(400)]
        verdict, words = judge(without)
        assert verdict is Verdict.INCONCLUSIVE and name in words


OTHERS = {"loss_rel": "train/nll", "grad_norm": "norm", "rss_mb": "mem"}  # as another trainer names them
LEAKS, GROWS, LEAPS = (
    {"rss_mb": lambda n: 240 + n * 0.2}, {"loss_rel": lambda n: 1.0 + 0.004 * max(n - 150, 0)},
    {"grad_norm": lambda n: 80 * 1.1**n},
)  # fmt: skip


def renamed(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{OTHERS.get(name, name): value for name, value in row.items()} for row in found]


@pytest.mark.parametrize("columns", [LEAKS, GROWS, LEAPS, {"loss_rel": lambda n: math.nan if n == 9 else 1.0}, {}])
def test_the_columns_of_any_trainer_are_those_that_the_runbook_names(
    columns: dict[str, Callable[[int], float]],
) -> None:
    rules = replace(RULES, loss="train/nll", gradient="norm", memory="mem", thresholds={})
    verdict, words = judge(renamed(rows(400, **columns)), rules, leak=True)
    assert verdict is (Verdict.FAIL if columns else Verdict.PASS), words
    assert judge(renamed(rows(400)), leak=True)[0] is Verdict.INCONCLUSIVE, "other columns than the runbook names"


def test_a_loss_of_another_scale_is_no_fault_and_a_limit_of_the_runbook_is_one() -> None:
    """A loss of 6 is one of predicting nothing for one trainer, and of a good language model for another."""
    high = rows(400, loss_rel=lambda n: 6.0 - n / 400)
    rules = replace(RULES, thresholds={})
    assert judge(high, rules)[0] is Verdict.PASS
    verdict, words = judge(high)
    assert verdict is Verdict.FAIL and "loss_rel was above 2 for 5 rows: 5.0" in words and "step 400" in words, words
    assert judge(rows(400, loss_rel=lambda n: 6.0 if n < 20 else 1.0), replace(rules, thresholds=OVER))[0] is (
        Verdict.PASS
    ), "it came down again"
    mine = {"mine": DetectorRule("loss_rel", above=2.0, rows=5)}
    assert judge(high, replace(RULES, thresholds=mine))[0] is Verdict.PASS, "it speaks for no symptom"
    assert judge(rows(3, loss_rel=lambda n: 6.0), steps=2)[0] is Verdict.PASS, "three rows of five"


def test_the_thresholds_are_those_of_the_runbook() -> None:
    norms = rows(400, grad_norm=lambda n: 3.0 if n < 100 else 8.0)
    assert judge(norms, replace(RULES, limits=Detection(gradient_times=1.0)))[0] is Verdict.FAIL
    assert judge(norms, replace(RULES, limits=Detection(gradient_times=4.0)))[0] is Verdict.PASS
    grown = rows(400, rss_mb=lambda n: 240 + n * 0.2)
    assert judge(grown, replace(RULES, limits=Detection(leak_growth=1.0)), leak=True)[0] is Verdict.PASS
    drifts = rows(400, loss_rel=lambda n: 1.0 + 0.004 * max(n - 350, 0))
    assert judge(drifts)[0] is Verdict.FAIL
    assert judge(drifts, replace(RULES, limits=Detection(drift_h=1000.0)))[0] is Verdict.PASS


def test_what_the_runbook_does_not_name_is_not_known() -> None:
    verdict, words = judge(rows(400), Rules())
    assert verdict is Verdict.INCONCLUSIVE and "metrics.loss" in words
    assert judge(rows(400), replace(RULES, gradient=""))[0] is Verdict.PASS, "a trainer that writes no norm"
    verdict, words = judge(rows(400), replace(RULES, memory=""), leak=True)
    assert verdict is Verdict.INCONCLUSIVE and "metrics.memory" in words


def test_rows_of_evaluations_are_no_steps_without_a_loss() -> None:
    both = [row for step in rows(400) for row in (step, {"step": step["step"], "eval_loss": "1.2"})]
    assert judge(both)[0] is Verdict.PASS


@pytest.mark.parametrize("name", ["loss_rel", "grad_norm"])
def test_a_column_that_is_nearly_empty_is_missing(name: str) -> None:
    found = rows(400)
    for row in found[1:]:
        row[name] = ""
    verdict, words = judge(found)
    assert verdict is Verdict.INCONCLUSIVE and name in words
    without = [{key: value for key, value in row.items() if key != "rss_mb"} for row in rows(400)]
    assert judge(without, leak=True)[1].startswith("0 of the 300 rows")


def test_two_hundred_healthy_windows_give_no_alarm() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        found = rows(400, loss_rel=lambda n, rng=rng: 1.0 - n / 8000 + rng.gauss(0, 0.05))  # type: ignore[misc]
        assert judge(found)[0] is Verdict.PASS, seed


def test_a_leak_needs_rows_and_growth() -> None:
    assert judge(rows(400, rss_mb=lambda n: 240 + n * 0.2), leak=True)[0] is Verdict.FAIL
    assert judge(rows(400), leak=True)[0] is Verdict.PASS
    assert judge(rows(400, rss_mb=lambda n: 240 + min(n, 100) * 0.5), leak=True)[0] is Verdict.PASS, "a warm-up"
    assert judge(rows(200, rss_mb=lambda n: 240.0), steps=100, leak=True)[0] is Verdict.INCONCLUSIVE


# --- bisect


class Counted:
    """A system with a known culprit; each set is asked once."""

    def __init__(self, shows: Callable[[set[str]], bool]) -> None:
        self._shows, self.asked = shows, dict[frozenset[str], Verdict]()

    def __call__(self, names: tuple[str, ...]) -> Verdict:
        key = frozenset(names)
        if key not in self.asked:
            self.asked[key] = Verdict.FAIL if self._shows(set(names)) else Verdict.PASS
        return self.asked[key]


NAMES = tuple(f"f{n}" for n in range(11))


@pytest.mark.parametrize("culprit", NAMES)
def test_one_guilty_in_log2_n_runs(culprit: str) -> None:
    shows = Counted(lambda on: culprit in on)
    assert bisect.guilty(NAMES, shows) == (culprit,)
    assert len(shows.asked) <= 2 + math.ceil(math.log2(len(NAMES))) + 1, "both ends, the halves, and one that confirms"


@pytest.mark.parametrize("pair", list(itertools.combinations(range(0, 11, 3), 2)))
def test_two_that_act_only_together(pair: tuple[int, int]) -> None:
    culprits = {NAMES[one] for one in pair}
    assert set(bisect.guilty(NAMES, Counted(lambda on: culprits <= on))) == culprits


def test_either_of_two_is_found() -> None:
    assert bisect.guilty(NAMES, Counted(lambda on: bool(on & {"f2", "f9"}))) in (("f2",), ("f9",))


def test_no_answer_is_no_guilt() -> None:
    with pytest.raises(Refused, match="all improvements off"):
        bisect.guilty(NAMES, lambda names: Verdict.FAIL)
    with pytest.raises(Refused, match="does not show"):
        bisect.guilty(NAMES, lambda names: Verdict.INCONCLUSIVE)


def run(count: int, **options: Any) -> dict[str, Any]:
    found = [
        {k: int(v) if k == "step" else float(v) for k, v in row.items()}
        for row in rows(count, **options.pop("columns", {}))
    ]
    return {"rows": found, "exit_code": 0, "reason": "", **options}


def test_what_a_short_run_shows() -> None:
    def shows(detector: Detector, found: dict[str, Any], baseline: dict[str, Any] | None = None) -> Verdict:
        return bisect.symptom_shows(detector, found, Checks(), baseline)[0]

    memory, anomaly = int(TrainerExit.OUT_OF_MEMORY), int(TrainerExit.ANOMALY)
    assert shows("out-of-memory", run(3, exit_code=memory)) is Verdict.FAIL
    assert shows("out-of-memory", run(40)) is Verdict.PASS
    assert shows("anomaly", run(3, exit_code=memory)) is Verdict.INCONCLUSIVE
    assert shows("anomaly", run(3, exit_code=anomaly)) is Verdict.FAIL
    assert shows("anomaly", run(40)) is Verdict.PASS
    assert shows("out-of-memory", {"error": "no data"}) is Verdict.INCONCLUSIVE
    fast, slow = (run(40, columns={"loss_rel": lambda n, rate=rate: 1 - rate * n}) for rate in (0.01, 0.002))  # type: ignore[misc]
    assert shows("slower", slow, fast) is Verdict.FAIL
    assert shows("slower", fast, fast) is Verdict.PASS


# --- the process's states


def test_every_state_follows_from_what_is_known() -> None:
    alive = Signs(alive=True)
    assert state_of(Signs(recorded=False)) == "never started"
    assert state_of(alive) == "starting"
    assert state_of(Signs(alive=True, first_step=True)) == "running"
    assert state_of(Signs(alive=True, first_step=True, asked_to_stop=True)) == "stopping"
    assert state_of(Signs(on_purpose=True)) == "stopped"
    assert state_of(Signs(ended="finished")) == "finished"
    assert state_of(Signs()) == "died"
    assert state_of(Signs(elsewhere=True, alive=True)) == "elsewhere"
    assert state_of(Signs(alive=True, waiting=True)) == "waiting"
    assert state_of(Signs(alive=True, waiting=True, asked_to_stop=True)) == "stopping"
    assert state_of(Signs(alive=True, lost=True, asked_to_stop=True)) == "lost"
    assert state_of(Signs(alive=True, unknown=True)) == "unknown"
    known = set(FOLLOWS)
    assert {after for follows in FOLLOWS.values() for after in follows} <= known
    assert FOLLOWS["stopped"] == ("waiting", "starting"), "started is not healthy"
    assert "running" not in FOLLOWS["waiting"]
