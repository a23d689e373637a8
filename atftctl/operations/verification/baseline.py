"""`baseline record`: measure and record the level that `verify` compares with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from statistics import median
from typing import Any

from atftctl.decide.plans.setting_changes import changes
from atftctl.decide.verdicts.cost import numbers_above_0
from atftctl.decide.verdicts.probe_ends import how_ended, what_to_do
from atftctl.domain.baseline_text import figures
from atftctl.domain.checks import PARTS
from atftctl.domain.errors import Inconclusive, Refused
from atftctl.domain.facts import ConfigFile
from atftctl.domain.pairing import KEYS
from atftctl.domain.probe_answer import SCHEMA, Answer, read
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
from atftctl.operations.verification.from_run import from_run
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import baseline as stored
from atftctl.state.baseline import BASELINE_VERSION

SEE = tr("see what is wrong: atftctl verify")
COST = ("memory_mb", "data_mb", "device", "card_mb", "step_s", "seconds", "version")
OF_RUN = ("source", "steps", "measured_on")  # of a quality that comes from the metrics of the run
MOST = 2000  # characters of an error of the probe
NOT_MEASURED = tr("no baseline was recorded: neither the probe nor the metrics of the run tell quality, memory or time")


@record
class BaselineData(Data):
    """Data of `baseline record`.

    name: of the baseline. in_use: whether `verify` compares with it. quality: mean quality of the model in service;
    null where it is not known. pairs: number of dates, examples or values that it was measured on. pair_by: which of
    these: `date`, `example`, `none`; empty where quality is not known. source: `probe`, or `metrics` of the run. cost:
    memory and time, as far as they are known: `memory_mb`, `step_s`. model: the model that was measured: `path`,
    `sha256`, and what its check found. curve_rows: the number of rows that the loss curve was made from; 0 where there
    is none. missing: why a part is not in the baseline, by part.
    """

    name: str
    in_use: bool
    quality: float | None
    pairs: int
    cost: Mapping[str, Any]
    model: Mapping[str, Any]
    pair_by: str = ""
    source: str = ""
    curve_rows: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)


def record_baseline(project: Project, request: Request, *, name: str = "", force: bool = False) -> Result:
    """Measure and record the level that later verifies compare with.

    To be recorded while the service is healthy and all improvements are off. What no probe measures is read from the
    metrics of the running trainer. `name`: of the baseline; "" for the one in
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
    answers = _answers(project, configs.digest(current), watch)
    with locked(project, "baseline record", request):
        baseline = _baseline(project, current, answers)
        curve, said = loss_curve.measure(project, baseline["config_digest"])
        baseline |= {"curve": curve} if curve else {}
        stored.write(layout, name, baseline)
    return _result(project, name, baseline, watch, said, _missing(answers))


def _unchanged() -> Message:
    return tr("the previous baseline, if there is one, was kept")


def _answers(project: Project, digest: str, watch: Stopwatch) -> dict[str, Answer]:
    """What is known of each part, by the probe, else by the metrics of the run. Raises Inconclusive where the probe was
    not run, Refused where a part could not be measured."""
    runbook, measured = project.runbook, dict[str, Any]()
    if runbook.trainer.probe:
        wanted = MeasureRequest(PARTS, runbook.checks.probe_steps)
        with watch.part("probes"), measuring(project.layout, runbook, wanted) as probe:
            measured |= probe.collect()
    measured |= from_run(project, digest, measured, PARTS)
    _require_measured(measured)
    return {part: read(part, measured.get(part)) for part in PARTS}


def _require_measured(measured: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises Inconclusive where the probe was not run, Refused where it failed to measure a part."""
    for part in PARTS:
        answer = measured[part]
        log = tuple(str(line) for line in answer.get("log") or ())
        if "missing" in answer and not answer.get("none"):
            raise Inconclusive(
                tr("no baseline was recorded: {part}: {why}", part=part, why=answer["missing"]),
                state=_unchanged(),
                hint=answer.get("hint") or what_to_do(answer),
                lines=log,
            )
        why = how_ended(answer["crashed"]) if "crashed" in answer else answer.get("error")
        if why:
            text = tr("no baseline was recorded: {part}: {why}", part=part, why=str(why)[:MOST])
            raise Refused(text, state=_unchanged(), hint=SEE, lines=log)


def _missing(answers: Mapping[str, Answer]) -> dict[str, str]:
    """Why a part is not in the baseline, by part."""
    needed = {"training": "memory_mb", "steps": "step_s"}
    reasons = {part: answers[part].lacks(key) for part, key in needed.items()}
    if not _quality(answers["quality"]):
        reasons["quality"] = answers["quality"].problems.get("values") or tr("no values of quality are known")
    if _cost(answers).get("step_s"):
        reasons["steps"] = None
    return {part: why for part, why in reasons.items() if why}


def _quality(answer: Answer) -> dict[str, Any]:
    """The quality as it is kept; empty where there is none. Raises Refused where values were answered, and none of them
    is a finite number."""
    given = [key for key in KEYS.values() if answer.get(key) is not None]
    if not given and answer.get("mean") is None:
        return {}
    if given and not stored.has_values(answer.values):
        raise Refused(
            tr("no baseline was recorded: quality has no finite value (are the predictions constant or NaN?)"),
            state=_unchanged(),
            hint=SEE,
        )
    kept = {key: answer.values[key] for key in (*SCHEMA["quality"], *OF_RUN) if key in answer.values}
    return {**kept, "facts": _facts(answer)} if "facts" in kept else kept


def _facts(answer: Answer) -> dict[str, Any]:
    return {name: {"title": title, "value": value} for name, (title, value) in answer.get("facts", {}).items()}


def _baseline(project: Project, current: Mapping[str, ConfigFile], answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Return what is kept: the figures, and the configs that they were measured with. Raises Refused where these have
    changed since, or nothing was measured."""
    root, metrics = project.layout.root, project.runbook.metrics
    quality = _quality(answers["quality"])
    if quality:
        title, unit = metrics.title(metrics.quality), getattr(metrics.columns.get(metrics.quality), "unit", "")
        quality |= {"column": metrics.quality, "title": title, "unit": unit, "mean": stored.mean_of(quality)}
    baseline = {
        "version": BASELINE_VERSION,
        "recorded": now().isoformat(timespec="seconds"),
        "commit": git.head(root)[0],
        "config_digest": configs.digest(current),
        "configs": {name: _as_measured(root, config) for name, config in current.items()},
        "quality": quality or None,
        "cost": _cost(answers),
        "model": dict(answers["model"].values),
    }
    if not stored.is_valid(baseline):
        raise Refused(_why_nothing(answers), state=_unchanged(), hint=SEE)
    return baseline


def _why_nothing(answers: Mapping[str, Answer]) -> Message:
    """Why there is nothing that a later run could be compared with."""
    reasons: list[str] = [text for answer in answers.values() for text in answer.problems.values()]
    reasons += [str(answer.get("problem")) for answer in answers.values() if answer.get("problem")][:1]
    return joined(": ", [NOT_MEASURED, joined("; ", reasons)]) if reasons else NOT_MEASURED


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


def _cost(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Memory and time. `of_run`: which of them come from the metrics of the run."""
    sides = [answers["training"], answers["steps"]]
    cost = {key: side.values[key] for side in sides for key in COST if key in side.values}
    if "step_s" not in cost and (seconds := numbers_above_0(cost.get("seconds"))):
        cost["step_s"] = median(seconds)
    of_run: list[str] = [key for key in ("memory_mb", "card_mb") if key in cost and answers["training"].of_run]
    of_run += ["step_s"] if "step_s" in cost and answers["steps"].of_run else []
    return {**cost, **({"of_run": of_run} if of_run else {})}


def _result(
    project: Project, name: str, baseline: Mapping[str, Any], watch: Stopwatch, said: Message,
    missing: Mapping[str, str],
) -> Result:  # fmt: skip
    """The result; `said` of the curve; `missing`: why a part is not in the baseline."""
    summary = stored.summary_of(baseline)
    headline = tr("baseline {name} recorded: {figures}", name=name, figures=joined(", ", figures(summary)))
    used = stored.name_in_use(project.layout)
    lines = []
    if used != name:
        text = tr(
            "verify compares with {used}; to compare with {name}: atftctl baseline set {name}", used=used, name=name
        )
        lines.append(text if used else tr("to compare with it: atftctl baseline set {name}", name=name))
    lines += [tr("not in the baseline: {part}: {why}", part=part, why=why) for part, why in missing.items()]
    lines.append(said)
    part, curve = baseline["quality"] or {}, baseline.get("curve")
    data = BaselineData(
        name,
        used == name,
        summary.get("quality"),
        summary.get("pairs", 0),
        {key: value for key, value in baseline["cost"].items() if key != "seconds"},
        baseline["model"],
        pair_by=summary.get("pair_by", ""),
        source=("metrics" if part.get("source") == "metrics" else "probe") if part else "",
        curve_rows=curve["rows"] if curve else 0,
        missing=missing,
    )
    return Result("baseline record", Exit.DONE, headline, lines=tuple(lines), data=data, parts=tuple(watch.parts))
