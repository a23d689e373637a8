"""`baseline record`: measure and record the level that `verify` compares with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atftctl.decide.plans.setting_changes import changes
from atftctl.decide.verdicts.probe_ends import how_ended, what_to_do
from atftctl.domain.checks import PARTS
from atftctl.domain.errors import Inconclusive, Refused
from atftctl.domain.facts import ConfigFile
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import read_bytes
from atftctl.host.git import facts as git
from atftctl.host.yaml_text.read import MAX_BYTES
from atftctl.observe import configs
from atftctl.observe.trainer_run.measuring import MeasureRequest, measuring
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, refuse_open, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.verification import loss_curve
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr
from atftctl.state import baseline as stored
from atftctl.state.baseline import BASELINE_VERSION

SEE = tr("see what is wrong: atftctl verify")
COST = ("memory_mb", "data_mb", "device", "card_mb", "step_s", "version")


@record
class BaselineData(Data):
    """Data of `baseline record`.

    name: of the baseline. in_use: whether `verify` compares with it. quality: mean quality of the model in service.
    dates: number of dates that it was measured on. cost: memory and time: `memory_mb`, `step_s`. model: the model that
    was measured: `path`, `sha256`, and what its check found. curve_rows: the number of rows that the loss curve was
    made from; 0 where there is none.
    """

    name: str
    in_use: bool
    quality: float
    dates: int
    cost: Mapping[str, Any]
    model: Mapping[str, Any]
    curve_rows: int = 0


def record_baseline(project: Project, request: Request, *, name: str = "", force: bool = False) -> Result:
    """Measure and record the level that later verifies compare with.

    To be recorded while the service is healthy and all improvements are off. `name`: of the baseline; "" for the one in
    use. `force`: also with improvements on. Raises Refused where improvements are on, or a part could not be measured;
    Inconclusive where the probe could not be run; UsageError for a name that can't be one.
    """
    layout, runbook = project.layout, project.runbook
    name = stored.check_name(name or stored.name_in_use(layout) or stored.DEFAULT)
    watch = Stopwatch(request.report)
    current = configs.read_configs(layout.root, runbook.files)
    require_readable(project, current)
    refuse_open(project)
    on = changes(runbook, current, runbook.immediate.settings)
    if on and not force:
        raise Refused(
            tr(
                "improvements are on ({features}), but the baseline is the level without them",
                features=", ".join(change.feature for change in on),
            ),
            state=_unchanged(),
            hint=tr("run atftctl rollback --immediate first; --force records the baseline with these improvements"),
        )
    wanted = MeasureRequest(PARTS, runbook.checks.probe_steps)
    with watch.part("probes"), measuring(layout, runbook, wanted) as probe:
        measured = probe.collect()
    _require_measured(measured)
    with locked(project, "baseline record", request):
        baseline = _baseline(project, current, measured)
        curve, said = loss_curve.measure(project, baseline["config_digest"])
        stored.write(layout, name, {**baseline, **({"curve": curve} if curve else {})})
    return _result(project, name, measured, watch, said, curve)


def _unchanged() -> Message:
    return tr("the previous baseline, if there is one, was kept")


def _require_measured(measured: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises Inconclusive where the probe was not run, Refused where a part could not be measured."""
    for part in PARTS:
        answer = measured[part]
        log = tuple(str(line) for line in answer.get("log") or ())
        if "missing" in answer:
            raise Inconclusive(
                tr("no baseline was recorded: {part}: {why}", part=part, why=answer["missing"]),
                state=_unchanged(),
                hint=what_to_do(answer),
                lines=log,
            )
        why = how_ended(answer["crashed"]) if "crashed" in answer else answer.get("error")
        if why:
            text = tr("no baseline was recorded: {part}: {why}", part=part, why=why)
            raise Refused(text, state=_unchanged(), hint=SEE, lines=log)
    if not measured["quality"].get("by_date"):
        raise Refused(
            tr("no baseline was recorded: quality has no value on any date (are the forecasts constant or NaN?)"),
            state=_unchanged(),
            hint=SEE,
        )


def _baseline(
    project: Project, current: Mapping[str, ConfigFile], measured: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what is kept: the figures, and the configs that they were measured with. Raises Refused where these have
    changed since, or a figure is missing or wrong."""
    root = project.layout.root
    baseline = {
        "version": BASELINE_VERSION,
        "recorded": now().isoformat(timespec="seconds"),
        "commit": git.head(root)[0],
        "config_digest": configs.digest(current),
        "configs": {name: _as_measured(root, config) for name, config in current.items()},
        "rankic": measured["quality"],
        "cost": _cost(measured),
        "model": measured["model"],
    }
    if not stored.is_valid(baseline):
        text = tr("no baseline was recorded: a value that was measured is missing or wrong")
        raise Refused(text, state=_unchanged(), hint=SEE)
    return baseline


def _as_measured(root: Path, config: ConfigFile) -> str:
    """The text of a config. Raises Refused where it is not the one that was read before the measurement."""
    data = read_bytes(resolve_inside(root, config.path), MAX_BYTES)
    if sha256_bytes(data) != config.sha256:
        raise Refused(
            tr("{path} was changed during the measurement: no baseline was recorded", path=config.path),
            state=_unchanged(),
            hint="atftctl baseline record",
        )
    return data.decode()


def _cost(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    both = {**measured["training"], **measured["steps"]}
    return {key: both[key] for key in COST if key in both}


def _result(
    project: Project, name: str, measured: Mapping[str, Mapping[str, Any]], watch: Stopwatch, said: Message,
    curve: Mapping[str, Any] | None,
) -> Result:  # fmt: skip
    """The result; `said` of the curve."""
    quality, cost = measured["quality"], _cost(measured)
    metrics = project.runbook.metrics
    headline = tr(
        "baseline {name} recorded: {title} {quality:.4f} over {dates} dates, {memory:.0f} MB, {step:.0f} ms per step",
        name=name,
        title=metrics.title(metrics.quality) or tr("quality"),
        quality=quality["mean"],
        dates=len(quality["by_date"]),
        memory=cost["memory_mb"],
        step=cost["step_s"] * 1000,
    )
    used = stored.name_in_use(project.layout)
    lines = []
    if used != name:
        text = tr(
            "verify compares with {used}; to compare with {name}: atftctl baseline set {name}", used=used, name=name
        )
        lines.append(text if used else tr("to compare with it: atftctl baseline set {name}", name=name))
    lines.append(said)
    rows = curve["rows"] if curve else 0
    data = BaselineData(name, used == name, quality["mean"], len(quality["by_date"]), cost, measured["model"], rows)
    return Result("baseline record", Exit.DONE, headline, lines=tuple(lines), data=data, parts=tuple(watch.parts))
