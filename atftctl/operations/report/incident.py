"""`incident`: everything that is known of one or several operations, for one page. Changes nothing, takes no lock, and
needs neither PyTorch nor pandas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from atftctl import __version__
from atftctl.decide.incident.binned import side
from atftctl.decide.incident.cost import cost
from atftctl.decide.incident.timeline import described, is_fault, timeline
from atftctl.domain.incident import Moment, Placed, Recorded, Side, recorded, step_of
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.result import Result
from atftctl.domain.run_rows import Row
from atftctl.domain.text import value_text
from atftctl.observe.incident import Contents, Event, Kept, kept
from atftctl.observe.incident import events as known_events
from atftctl.observe.metrics.around import around
from atftctl.operations.project import Project, now, open_operation
from atftctl.operations.report import incident_parts as parts
from atftctl.operations.report.incident_data import (
    AroundData,
    CostData,
    IncidentData,
    IncidentPart,
    MomentData,
    SideData,
)
from atftctl.operations.report.masking import masked, masked_lines
from atftctl.operations.report.runbook_texts import RunbookTexts
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state import failed_checks, verified

COMMANDS = ("rollback", "undo", "restore", "resume", "recover", "config set")  # an incident, where no id is given
ROLES = ("loss", "quality", "memory")
BINS = 240  # parts of a curve; several operations share four times as many
LEAST_BINS = 60
DIFF_LINES = 300
LONGEST = 2000  # characters of a text


def incident(project: Project, words: Sequence[str]) -> Result:
    """All that is known of these operations, the oldest first. words: their ids, or how these begin; none for the
    newest operation of an incident. Raises Refused where there is none, UsageError for a word that names none."""
    entries, later = parts.history_from(project, words, COMMANDS)
    bins = max(LEAST_BINS, min(BINS, 4 * BINS // len(entries)))
    events, contents = known_events(project.layout), Contents(project.layout)
    made = tuple(_part(project, *both, events, contents, bins) for both in zip(entries, later, strict=True))
    if opened := open_operation(project.layout):
        unfinished = tr(
            "the newest operation, {operation}: it is not finished; see: {command}",
            operation=opened.id,
            command="atftctl status",
        )
        made = (*made[:-1], replace(made[-1], missing=(unfinished, *made[-1].missing)))
    data = IncidentData(
        service=project.runbook.service,
        made=now().astimezone(UTC).isoformat(timespec="seconds"),
        version=__version__,
        operations=made,
        people=project.contacts,
    )
    return Result("incident", Exit.DONE, _headline(made), data=data)


def _headline(made: Sequence[IncidentPart]) -> str:
    if len(made) == 1:
        part = made[0]
        return tr("{command} {operation}: {title}", command=part.command, operation=part.operation, title=part.title)
    first, last = made[0].operation, made[-1].operation
    return trn(
        "{count} operation, {first} to {last}",
        "{count} operations, {first} to {last}",
        len(made),
        first=first,
        last=last,
    )


def _part(
    project: Project,
    entry: parts.Entry,
    later: Sequence[parts.Entry],
    events: Sequence[Event],
    contents: Contents,
    bins: int,
) -> IncidentPart:
    """One operation."""
    operation, evidence, rules = recorded(entry), kept(project.layout, str(entry["operation"])), project.runbook.metrics
    runbook = RunbookTexts(project.runbook, project.language)
    # The title of the plan can be translated, where it is the same.
    title = evidence.title if evidence.title == operation.title else operation.title
    operation = replace(operation, title=runbook.put(title))
    before, after = _of_last_run(evidence, events), _until(_of_next_run(operation, events), later)
    wanted = tuple(dict.fromkeys(rules.roles.values()))
    first = step_of(operation.first_step.get("step"))
    rows = around(project.layout, evidence.metrics, wanted, operation.generation, first)
    passed = parts.passed_of(entry, verified.passes(project.layout))
    failed = parts.failed_of(entry, failed_checks.read(project.layout))
    alerts = parts.alerts_of(project.layout, before, operation, later)
    others = [recorded(line) for line in parts.related(entry, later)]
    moments = timeline(operation, before, after, passed, failed, others, alerts)
    settings, unknown = parts.settings_of(contents, entry)
    curves, absent = _curves(rules, rows, bins)
    spent = cost(operation, evidence.process or {}, before, after, rows, rules.step_time)
    return IncidentPart(
        **_words(operation),
        exit_code=operation.exit_code,
        started=_iso(operation.started),
        ended=_iso(operation.ended),
        snapshot=str(entry.get("snapshot", "")),
        situation=masked(_situation(evidence, before)),
        cost=CostData(spent.steps, spent.training_s, spent.down_s, spent.took_s),
        undo=parts.undo_of(entry, later),
        facts=_facts(operation),
        steps=tuple(masked(_cut(step)) for step in evidence.plan),
        timeline=tuple(_moment(moment, runbook) for moment in moments),
        settings=settings,
        files=parts.files_of(entry),
        diff=tuple(masked_lines(evidence.diff[:DIFF_LINES])),
        curves=curves,
        checks=parts.checks_of(operation, passed, failed),
        evidence=evidence.folder if evidence.names else "",
        evidence_files=evidence.names,
        missing=(
            *(each.text for each in project.problems[:1]),
            *unknown,
            *parts.missing_of(evidence, entry, operation, rows, passed),
            *absent,
        ),
    )


def _cut(text: str) -> str:
    """The text, cut where it is too long; one that is not stays translatable."""
    return text if len(text) <= LONGEST else text[:LONGEST]


def _words(operation: Recorded) -> dict[str, str]:
    """The texts of the record."""
    texts = {"command": operation.command, "title": operation.title, "operator": operation.operator}
    texts |= {"reason": operation.reason, "outcome": operation.outcome, "verdict": operation.verdict}
    return {"operation": operation.id, **{name: masked(_cut(text)) for name, text in texts.items()}}


def _of_last_run(evidence: Kept, events: Sequence[Event]) -> list[Event]:
    """The events of the trainer that was there before the change, also those that came while it was stopped."""
    run = (evidence.process or {}).get("run_id") or (evidence.events[-1].get("run_id") if evidence.events else "")
    known, now_known = ([event for event in each if event.get("run_id") == run] for each in (evidence.events, events))
    return now_known if len(now_known) >= len(known) else known


def _of_next_run(operation: Recorded, events: Sequence[Event]) -> list[Event]:
    """The events of the trainer that the operation started; where it started none, all after it."""
    if operation.generation:
        return [event for event in events if event.get("generation") == operation.generation]
    return [event for event in events if event["t"] >= (operation.started or math.inf)]


def _until(events: Sequence[Event], later: Sequence[parts.Entry]) -> list[Event]:
    """The events before the next operation that changed something."""
    changes = [recorded(line) for line in later if line.get("files") or line.get("generation")]
    end = next((each.started for each in changes if each.started is not None), math.inf)
    return [event for event in events if event["t"] < end]


def _situation(evidence: Kept, events: Sequence[Event]) -> str:
    """The state of the trainer before the change."""
    if evidence.process is None:
        return evidence.diagnosis
    state, step = str(evidence.process.get("state", "?")), step_of(evidence.process.get("step"))
    text = tr("trainer: {state}", state=state)
    if step is not None:
        text = tr("trainer: {state}, at step {step}", state=state, step=step)
    faults = [described(event) for event in events if is_fault(event)]
    causes = [faults[-1]] if faults else []
    if evidence.diagnosis and evidence.diagnosis != f"trainer {state}":
        causes.append(evidence.diagnosis)
    return joined("; ", [text, *causes])


def _facts(operation: Recorded) -> dict[str, str]:
    """What else the record holds; what has a place of its own is left out."""
    facts = {}
    for name, value in operation.about.items():
        if name not in ("rehearsal", "gate") and value not in ("", None):
            text = value_text(value) if isinstance(value, str | int | float | bool) else str(value)
            facts[str(name)] = masked(f"{name}={text}"[:LONGEST]).removeprefix(f"{name}=")
    return facts


def _curves(rules: Metrics, rows: Placed, bins: int) -> tuple[dict[str, AroundData], tuple[str, ...]]:
    """(the curves by role, what is missing)."""
    curves, absent = {}, []
    steps = [max(1, each[-1].step - each[0].step + 1) if each else 0 for each in (rows.before, rows.after)]
    shares = [max(LEAST_BINS // 2, bins * each // (sum(steps) or 1)) for each in steps]
    for role, column in rules.roles.items():
        if role not in ROLES:
            continue
        before, after = (
            _side(each, column, share) for each, share in zip((rows.before, rows.after), shares, strict=True)
        )
        if before.count or after.count:
            unit = rules.columns[column].unit if column in rules.columns else ""
            curves[role] = AroundData(column, rules.title(column), unit, before, after)
        elif rows.before or rows.after:
            absent.append(
                tr(
                    "the curve of {title}: the metrics have no column {column}",
                    title=rules.title(column),
                    column=column,
                )
            )
    if not rules.roles and (rows.before or rows.after):
        absent.append(tr("the curves: the runbook does not say which columns of the metrics they are drawn from"))
    return {role: curves[role] for role in ROLES if role in curves}, tuple(absent)


def _side(rows: Sequence[Row], column: str, bins: int) -> SideData:
    made = side(rows, column, bins)
    return SideData(
        lines=made.lines,
        broken=made.broken,
        first_step=rows[0].step if rows else None,
        last_step=rows[-1].step if rows else None,
        count=made.count,
        bad=made.bad,
        last=_number(made),
        median=made.median,
        least=made.least,
        greatest=made.greatest,
    )


def _number(made: Side) -> float | str | None:
    return made.last if made.last is None or math.isfinite(made.last) else str(made.last)


def _moment(moment: Moment, runbook: RunbookTexts) -> MomentData:
    return MomentData(_iso(moment.at), moment.kind, masked(runbook.put(moment.text)), moment.about)


def _iso(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
