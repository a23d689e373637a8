"""`baseline list|show|set|rm`: the recorded baselines, and which of them `verify` compares with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from atftctl.decide.detectors.loss_curve import curve_of
from atftctl.domain.baseline_steps import RemoveBaseline, UseBaseline
from atftctl.domain.errors import Refused
from atftctl.domain.pairing import KEYS
from atftctl.domain.plan import Plan
from atftctl.domain.probe_answer import read
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.project import Project
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr, trn
from atftctl.state import baseline as stored


@record
class BaselineSummary(Data):
    """One recorded baseline.

    name: its name. in_use: whether `verify` compares with it. recorded: when, ISO 8601. quality: mean quality of its
    model; null where it is not known. title: what people call the quality. unit: of the quality. pairs: number of
    dates, examples or values that it was measured on. pair_by: which of these: `date`, `example`, `none`. first: the
    first of the dates or examples. last: the last of them. facts: numbers of the data, by their title. memory_mb: peak
    memory. step_s: time of a training step. config_digest: of its settings. commit: of the code. model: path and hash
    of the model. problem: why it can't be used.
    """

    name: str
    in_use: bool
    recorded: str = ""
    quality: float | None = None
    title: str = ""
    unit: str = ""
    pairs: int = 0
    pair_by: str = ""
    first: str = ""
    last: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)
    memory_mb: float | None = None
    step_s: float | None = None
    config_digest: str = ""
    commit: str = ""
    model: Mapping[str, Any] | None = None
    problem: str = ""


@record
class BaselineListData(Data):
    """Data of `baseline list`.

    in_use: the name of the baseline that `verify` compares with; empty for none. baselines: all of them.
    """

    in_use: str
    baselines: tuple[BaselineSummary, ...]


@record
class BaselineShowData(Data):
    """Data of `baseline show`.

    baseline: the baseline. identity: what its quality was measured on: data, labels, evaluation code. quality: its
    quality by date, or by example; empty where it is not paired. settings: its config files, by path. curve: the
    smoothed loss of its run: `column`, `generation`, `begin` (the step that it follows), `rows`, `measured_on`,
    `steps`, `values` and `noise` (the standard error of a value); null where there is none.
    """

    baseline: BaselineSummary
    identity: Mapping[str, Any]
    quality: Mapping[str, float]
    settings: Mapping[str, str]
    curve: Mapping[str, Any] | None = None


@record
class BaselineChangeData(Data):
    """Data of `baseline set` and `baseline rm`.

    name: the baseline that was chosen or removed. in_use: the one that `verify` compares with now; empty for none.
    """

    name: str
    in_use: str


def list_baselines(project: Project) -> Result:
    """Return all baselines; where it is not known which is in use, a line says so."""
    lines: tuple[str, ...] = ()
    try:
        used = stored.name_in_use(project.layout)
    except Refused as error:
        used, lines = "", (error.message,)
    rows = tuple(_summary(entry, used) for entry in stored.all_baselines(project.layout))
    headline = trn("{count} baseline", "{count} baselines", len(rows))
    return Result("baseline list", Exit.DONE, headline, lines=lines, data=BaselineListData(used, rows))


def show(project: Project, name: str) -> Result:
    """Return one baseline; "" for the one in use. Raises UsageError for an unknown name, Refused where none is in use,
    or the baseline can't be used."""
    layout = project.layout
    used = stored.name_in_use(layout)
    if name:
        stored.known(layout, stored.check_name(name))
    content = stored.read_baseline(layout, name)
    if content is None:
        raise Refused(tr("no baseline is in use"), hint=tr("record one: atftctl baseline record"))
    summary = _summary(stored.Stored(name or used, content), used)
    part = content.get("quality") or {}
    values = part.get("by_date") or part.get("by_example") or {}
    data = BaselineShowData(summary, part.get("identity") or {}, values, content["configs"], _curve(content))
    return Result("baseline show", Exit.DONE, tr("baseline {name}", name=summary.name), data=data)


def choose(project: Project, name: str, request: Request) -> Result:
    """Have `verify` compare with this baseline. Raises UsageError for an unknown name, Refused for a baseline that
    can't be used."""
    layout = project.layout
    stored.known(layout, stored.check_name(name))

    def decide() -> Plan:
        stored.read_baseline(layout, name)
        title = tr("compare with the baseline {name}", name=name)
        return Plan("baseline set", title, (UseBaseline(name),))

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del plan, watch
        before = _used_or_unknown(project)
        if before != name:
            stored.use(layout, name)
        headline = tr("verify compares with the baseline {name}", name=name)
        lines = [tr("to go back: atftctl baseline set {name}", name=before)] if before and before != name else []
        data = BaselineChangeData(name, name)
        return Result("baseline set", Exit.DONE, headline, lines=tuple(lines), data=data)

    return perform(project, Action("baseline set", decide, act), request)


def remove(project: Project, name: str, request: Request, *, force: bool = False) -> Result:
    """Remove a baseline for good; the one in use only with `force`. Raises UsageError for an unknown name, Refused for
    the one in use."""
    layout = project.layout

    def decide() -> Plan:
        stored.known(layout, stored.check_name(name))
        in_use = _used_or_unknown(project) in (name, None)
        if in_use and not force:
            raise Refused(
                tr("verify compares with the baseline {name}", name=name),
                hint=tr("choose another one first (atftctl baseline set NAME), or remove this one with --force"),
            )
        entry = next(entry for entry in stored.all_baselines(layout) if entry.name == name)
        notes = [tr("verify has no baseline to compare with after this")] if in_use else []
        return Plan(
            "baseline rm",
            tr("remove the baseline {name}", name=name),
            (RemoveBaseline(name, str(entry.content.get("recorded", "")), in_use),),
            notes=(*notes, tr("this can't be undone")),
        )

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del watch
        if any(isinstance(step, RemoveBaseline) and step.in_use for step in plan.steps):
            stored.use(layout, "")
        stored.remove(layout, name)
        data = BaselineChangeData(name, stored.name_in_use(layout))
        return Result("baseline rm", Exit.DONE, tr("removed the baseline {name}", name=name), data=data)

    return perform(project, Action("baseline rm", decide, act), request, ask=True)


def _curve(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The loss curve of a baseline; None where it has none that can be used."""
    kept = content.get("curve")
    try:
        curve_of(kept if isinstance(kept, dict) else {})
    except ValueError:
        return None
    return kept


def _used_or_unknown(project: Project) -> str | None:
    """Return the name of the baseline in use; "" for none, None where that is not known."""
    try:
        return stored.name_in_use(project.layout)
    except Refused:
        return None


def _summary(entry: stored.Stored, used: str) -> BaselineSummary:
    content, in_use = entry.content, entry.name == used
    if not content:
        return BaselineSummary(entry.name, in_use, problem=entry.problem)
    part, figures = read("quality", content.get("quality")), stored.summary_of(content)
    keys = sorted(map(str, part.get(KEYS.get(figures.get("pair_by", "none"), ""), {})))
    keys = keys if figures.get("pair_by") in ("date", "example") else []
    return BaselineSummary(
        entry.name,
        in_use,
        recorded=figures.get("recorded", ""),
        quality=figures.get("quality"),
        title=figures.get("title", ""),
        unit=figures.get("unit", ""),
        pairs=figures.get("pairs", 0),
        pair_by=figures.get("pair_by", ""),
        first=keys[0] if keys else "",
        last=keys[-1] if keys else "",
        facts=dict(part.get("facts", {}).values()),
        memory_mb=figures.get("memory_mb"),
        step_s=figures.get("step_s"),
        config_digest=str(content["config_digest"]),
        commit=str(content.get("commit") or ""),
        model=content.get("model"),
    )
