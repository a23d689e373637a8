"""Fill in what a probe did not measure by what the metrics of the run tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atftctl.operations.project import Project
from atftctl.operations.verification import run_metrics
from atftctl.protocol.messages import joined


def from_run(
    project: Project,
    digest: str,
    measured: Mapping[str, Any],
    parts: Iterable[str],
    baseline: Mapping[str, Any] | None = None,
    *,
    newest: bool = False,
) -> dict[str, Any]:
    """What the metrics of the run tell of the parts that no probe measures. Evaluations from before the step of the
    baseline's first one don't count: a young run is worse, and is well."""
    open_parts = [part for part in parts if part not in measured or measured[part].get("none")]
    steps = ((baseline or {}).get("quality") or {}).get("steps")
    since = steps[0] if isinstance(steps, list) and steps and isinstance(steps[0], int) else 0
    told = run_metrics.measured(project, digest, open_parts, since=since, newest=newest)
    return {part: _told(answer, measured.get(part)) for part, answer in told.items()}


def _told(answer: Mapping[str, Any], of_probe: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What is known of a part: by the metrics of the run, else what the probe left, with the reasons of both."""
    if of_probe is None or set(answer) - {"source", "problem"}:
        return answer
    if not answer.get("problem") or "missing" not in of_probe:
        return of_probe
    return {**of_probe, "missing": joined("; ", [of_probe["missing"], answer["problem"]])}
