"""`baseline record`: measure and record the level that `verify` compares with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.decide.plans.setting_changes import changes
from atftctl.domain.errors import Refused
from atftctl.domain.facts import ConfigFile
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import facts as git
from atftctl.host.yaml_text.read import MAX_BYTES
from atftctl.observe import configs
from atftctl.observe.trainer_run import probes
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, refuse_open, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import baseline as stored
from atftctl.state.baseline import BASELINE_VERSION

PARTS = ("dataset", "training", "cost", "model", "rankic")  # of the measurement; each must succeed


@record
class BaselineData(Data):
    """Data of `baseline record`.

    rankic: mean RankIC of the model in service. dates: number of dates that it was measured on. cost: memory and time:
    `memory_mb`, `step_s`. model: the model that was measured: `path`, `sha256`, and what its check found.
    """

    rankic: float
    dates: int
    cost: Mapping[str, Any]
    model: Mapping[str, Any]


def record_baseline(project: Project, request: Request, *, force: bool = False) -> Result:
    """Measure and record the level that later verifies compare with.

    To be recorded while the service is healthy and all improvements are off. `force`: also with improvements on. Raises
    Refused where improvements are on, or a part could not be measured.
    """
    layout, runbook = project.layout, project.runbook
    watch = Stopwatch(request.report)
    current = configs.read_configs(layout.root, runbook.files.configs)
    require_readable(project, current)
    refuse_open(project)
    unchanged = tr("the previous baseline, if there is one, was kept")
    on = changes(runbook, current, runbook.immediate.settings)
    if on and not force:
        raise Refused(
            tr(
                "improvements are on ({features}), but the baseline is the level without them",
                features=", ".join(change.feature for change in on),
            ),
            state=unchanged,
            hint=tr("run atftctl rollback --immediate first; --force records the baseline with these improvements"),
        )
    with watch.part("probes"):
        measured = probes.probe(layout, runbook, "verify")
    for part in PARTS:
        if why := measured[part].get("error"):
            raise Refused(tr("no baseline was recorded: {part}: {why}", part=part, why=why), state=unchanged)
    with locked(project, "baseline record", request):
        stored.write(layout, _baseline(project, current, measured))
    return _result(measured, watch)


def _baseline(project: Project, current: Mapping[str, ConfigFile], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept: the figures, and the configs that they were measured with."""
    root = project.layout.root
    return {
        "version": BASELINE_VERSION,
        "recorded": now().isoformat(timespec="seconds"),
        "commit": git.head(root)[0],
        "config_digest": configs.digest(current),
        "configs": {
            name: read_bytes(resolve_inside(root, name), MAX_BYTES).decode() for name in project.runbook.files.configs
        },
        "rankic": measured["rankic"],
        "cost": measured["cost"],
        "model": measured["model"],
    }


def _result(measured: Mapping[str, Any], watch: Stopwatch) -> Result:
    rankic, cost = measured["rankic"], measured["cost"]
    headline = tr(
        "baseline recorded: RankIC@{days}d {rankic:.4f} over {dates} dates, {memory:.0f} MB, {step:.0f} ms per step",
        days=rankic["horizon"],
        rankic=rankic["mean"],
        dates=len(rankic["by_date"]),
        memory=cost["memory_mb"],
        step=cost["step_s"] * 1000,
    )
    data = BaselineData(rankic["mean"], len(rankic["by_date"]), cost, measured["model"])
    return Result("baseline record", Exit.DONE, headline, data=data, parts=tuple(watch.parts))
