"""Find the improvements that cause a symptom, by delta debugging over short runs.

One guilty improvement among n takes log2(n) runs and one that confirms it. Where several cause it only together, ddmin
finds a smallest set (Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from atftctl.decide.plans.setting_changes import same
from atftctl.decide.verdicts import probe_rows
from atftctl.domain.detector_rules import Detection
from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile
from atftctl.domain.runbook import Checks, Detector, Runbook
from atftctl.domain.verdict import Verdict
from atftctl.protocol import TrainerExit
from atftctl.protocol.messages import tr

Names = tuple[str, ...]
Shows = Callable[[Names], Verdict]  # runs with these improvements only: FAIL where the symptom shows
SLOWER = 0.05  # of the baseline's gain; docs/explanation/statistics.md
FATAL: Mapping[Detector, TrainerExit] = {
    "out-of-memory": TrainerExit.OUT_OF_MEMORY,
    "anomaly": TrainerExit.ANOMALY,
}


def improvements_on(runbook: Runbook, configs: Mapping[str, ConfigFile]) -> Names:
    """Name the features that are not at their baseline, without numbers that only a remedy raises."""
    return tuple(
        name
        for name, feature in runbook.features.items()
        if not same(feature.baseline, feature.improved)
        and (value := configs[feature.file].get(feature.path)) is not None
        and not same(value, feature.baseline)
    )


def guilty(names: Names, shows: Shows) -> Names:
    """Find a smallest set of improvements with which the symptom shows.

    Raises Refused where it shows with all of them off, or does not show with all of them on.
    """
    if shows(()) is Verdict.FAIL:
        raise Refused(
            tr("the symptom shows with all improvements off: no improvement is the cause"),
            hint=tr("check the data and the machine: atftctl status, logs/training.log"),
        )
    if shows(names) is not Verdict.FAIL:
        raise Refused(
            tr("the symptom does not show in a short run with the current improvements"),
            hint=tr("raise staged.bisect_steps in the runbook, or run: atftctl rollback --staged"),
        )
    left = names
    while len(left) > 1:
        half = left[: len(left) // 2]
        left = half if shows(half) is Verdict.FAIL else left[len(half) :]
    return left if shows(left) is Verdict.FAIL else _ddmin(names, shows)


def _ddmin(names: Names, shows: Shows) -> Names:
    """Find a smallest set by testing ever smaller parts, and everything without one part."""
    left, parts = names, 2
    while len(left) > 1:
        chunks = _split(left, parts)
        without = [tuple(name for name in left if name not in chunk) for chunk in chunks]
        smaller = next((chunk for chunk in chunks if shows(chunk) is Verdict.FAIL), None)
        if smaller is not None:
            left, parts = smaller, 2
            continue
        smaller = next((rest for rest in without if rest and shows(rest) is Verdict.FAIL), None)
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
    detector: Detector,
    run: Mapping[str, Any],
    checks: Checks,
    baseline: Mapping[str, Any] | None = None,
    limits: Detection = probe_rows.DEFAULT,
) -> tuple[Verdict, str]:
    """Judge whether a short run shows the symptom (FAIL) and say why.

    `run`: what `trainer probe run` measured. `baseline`: the same with all improvements off, where it is known.
    `limits`: the thresholds of the runbook.
    """
    if run.get("error"):
        return Verdict.INCONCLUSIVE, str(run["error"])
    rows, code = run.get("rows") or [], int(run.get("exit_code", TrainerExit.FINISHED))
    reason = str(run.get("reason", ""))
    if code == FATAL.get(detector):
        return Verdict.FAIL, reason
    if code != TrainerExit.FINISHED:
        return Verdict.INCONCLUSIVE, tr("the run ended for another reason: {reason}", reason=reason)
    if detector == "out-of-memory":
        highest = max(row["rss_mb"] for row in rows)
        return Verdict.PASS, tr("{steps} steps, at most {memory:.0f} MB", steps=len(rows), memory=highest)
    if detector == "slower":
        return _slower(rows, (baseline or {}).get("rows") or [])
    return probe_rows.judge(
        probe_rows.window_of(rows), steps=len(rows), grad_norm_max=checks.grad_norm_max, limits=limits,
        leak=detector == "leak",
    )  # fmt: skip


def _slower(rows: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]]) -> tuple[Verdict, str]:
    """Judge whether the loss of a run ends clearly above that of the run with all improvements off."""
    if not rows or not baseline:
        return Verdict.PASS if rows else Verdict.INCONCLUSIVE, tr("the run with which the others are compared")
    size = max(len(baseline) // 5, 1)
    first, theirs = (median(float(row["loss_rel"]) for row in part) for part in (baseline[:size], baseline[-size:]))
    mine = median(float(row["loss_rel"]) for row in rows[-size:])
    detail = tr("relative loss {loss:.4f}; with all improvements off {baseline:.4f}", loss=mine, baseline=theirs)
    return (Verdict.FAIL if mine - theirs > SLOWER * max(first - theirs, 1e-9) else Verdict.PASS), detail
