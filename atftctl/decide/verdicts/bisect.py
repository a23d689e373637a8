"""Which improvements are guilty: delta debugging over short runs.

With one guilty among n, log2 n runs and one that confirms it; where they act only together, ddmin finds a smallest set
(Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from atftctl.decide.plans.setting_changes import same
from atftctl.decide.verdicts import health
from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile
from atftctl.domain.metrics_window import Window
from atftctl.domain.runbook import Checks, Detector, Runbook
from atftctl.domain.verdict import Verdict
from atftctl.protocol import TrainerExit

Names = tuple[str, ...]
Shows = Callable[[Names], Verdict]  # with these improvements on, and no others: FAIL where the symptom shows
SLOWER = 0.05  # of the baseline's gain; docs/explanation/statistics.md
FATAL: Mapping[Detector, TrainerExit] = {
    "out-of-memory": TrainerExit.OUT_OF_MEMORY,
    "anomaly": TrainerExit.ANOMALY,
}


def improvements_on(runbook: Runbook, configs: Mapping[str, ConfigFile]) -> Names:
    """Features that are not at their baseline; numbers that only a remedy raises are none."""
    return tuple(
        name
        for name, feature in runbook.features.items()
        if not same(feature.baseline, feature.improved)
        and (value := configs[feature.file].get(feature.path)) is not None
        and not same(value, feature.baseline)
    )


def guilty(names: Names, shows: Shows) -> Names:
    """A smallest set of improvements with which the symptom shows. Raises Refused where it shows with all of them off,
    or not with all of them on."""
    if shows(()) is Verdict.FAIL:
        raise Refused(
            "the symptom shows with every improvement off: no improvement is the cause",
            hint="look at the data and the machine: atftctl status, logs/training.log",
        )
    if shows(names) is not Verdict.FAIL:
        raise Refused(
            "the symptom does not show in a short run with the improvements as they are",
            hint="raise staged.bisect_steps in the runbook, or: atftctl rollback --staged",
        )
    left = names
    while len(left) > 1:
        half = left[: len(left) // 2]
        left = half if shows(half) is Verdict.FAIL else left[len(half) :]
    return left if shows(left) is Verdict.FAIL else _ddmin(names, shows)


def _ddmin(names: Names, shows: Shows) -> Names:
    left, parts = names, 2
    while len(left) > 1:
        chunks = _split(left, parts)
        without = [tuple(one for one in left if one not in chunk) for chunk in chunks]
        smaller = next((one for one in chunks if shows(one) is Verdict.FAIL), None)
        if smaller is not None:
            left, parts = smaller, 2
            continue
        smaller = next((one for one in without if one and shows(one) is Verdict.FAIL), None)
        if smaller is not None:
            left, parts = smaller, max(parts - 1, 2)
        elif parts >= len(left):
            return left
        else:
            parts = min(parts * 2, len(left))
    return left


def _split(names: Names, parts: int) -> list[Names]:
    bounds = [len(names) * at // parts for at in range(parts + 1)]
    return [names[a:b] for a, b in pairwise(bounds) if a < b]


def symptom_shows(
    detector: Detector, run: Mapping[str, Any], checks: Checks, baseline: Mapping[str, Any] | None = None
) -> tuple[Verdict, str]:
    """FAIL where a short run shows the symptom. `run`: what `trainer probe run` measured; `baseline`: the same with all
    improvements off, where it is known."""
    if run.get("error"):
        return Verdict.INCONCLUSIVE, str(run["error"])
    rows, code = run.get("rows") or [], int(run.get("exit_code", TrainerExit.FINISHED))
    reason = str(run.get("reason", ""))
    if code == FATAL.get(detector):
        return Verdict.FAIL, reason
    if code != TrainerExit.FINISHED:
        return Verdict.INCONCLUSIVE, f"it ended otherwise: {reason}"
    if detector == "out-of-memory":
        return Verdict.PASS, f"{len(rows)} steps, up to {max(row['rss_mb'] for row in rows):.0f} MB"
    if detector == "slower":
        return _slower(rows, (baseline or {}).get("rows") or [])
    words = [{name: str(value) for name, value in row.items()} for row in rows]
    seen = Window(words, alive=True)
    return health.judge(seen, steps=len(rows), grad_norm_max=checks.grad_norm_max, leak=detector == "leak")


def _slower(rows: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]]) -> tuple[Verdict, str]:
    if not rows or not baseline:
        return Verdict.PASS if rows else Verdict.INCONCLUSIVE, "the run that others are held against"
    size = max(len(baseline) // 5, 1)
    first, theirs = (median(float(row["loss_rel"]) for row in part) for part in (baseline[:size], baseline[-size:]))
    mine = median(float(row["loss_rel"]) for row in rows[-size:])
    words = f"relative loss {mine:.4f}, {theirs:.4f} with all improvements off"
    return (Verdict.FAIL if mine - theirs > SLOWER * max(first - theirs, 1e-9) else Verdict.PASS), words
