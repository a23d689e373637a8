"""`diagnose`: what is wrong with the trainer, what speaks for it, and which command helps. Changes nothing, takes no
lock, and needs neither PyTorch nor pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis import causes, judge
from atftctl.decide.diagnosis.detected import Detected, detect
from atftctl.domain.diagnosis import Diagnosis, Evidence, Hypothesis, Observed
from atftctl.domain.log_lines import signatures
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.result import Reporter, Result
from atftctl.domain.run_rows import RunRows
from atftctl.domain.verdict import Verdict
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.observe import diagnosis as observed
from atftctl.observe.configs import read_configs
from atftctl.observe.log_files import errors as logs
from atftctl.observe.metrics.source import rows_of_run
from atftctl.observe.trainer_run import process
from atftctl.operations.monitoring.baseline_curve import baseline_curve, first_event
from atftctl.operations.monitoring.diagnosis_data import Cause, DiagnoseData, Sign
from atftctl.operations.monitoring.quality import QualityComparer
from atftctl.operations.project import Project
from atftctl.operations.report.log_query import LogQuery, Scope, iso, scope_of
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr

LIMIT = 256 << 20  # bytes that are read of each log at most, the newest


def diagnose(project: Project, since: str, report: Reporter) -> Result:
    """Say what is wrong with the trainer. `since`: from when on; "" for its last start. Raises UsageError."""
    scope = scope_of(project, LogQuery(since))
    rules = bank.rules_of(project.runbook)
    seen = observe(project, scope, rules, report)
    curve, uncompared = baseline_curve(project, first_event(seen.events))
    rules = replace(rules, curve=curve)
    found = detect(rules, seen.rows)
    kinds = signatures.wanted(project.runbook.logs)
    matcher = Matcher(kinds)
    with cpu_ticks(matcher.tick):  # messages of events are searched for patterns of the runbook
        diagnosis = judge.judge(seen, found, matcher, project.runbook.trainer.memory_limit_mb)
    given_up = tuple(tr("kind {kind}: {problem}", kind=kind, problem=text) for kind, text in matcher.problems.items())
    seen = replace(seen, logs_part=tuple(dict.fromkeys((*seen.logs_part, *given_up))))
    data = data_of(project, scope.begin, seen, found, diagnosis, uncompared)
    code = {"healthy": Exit.DONE, "fault": Exit.CHECK_FAILED, "inconclusive": Exit.INCONCLUSIVE}[data.verdict]
    contacts = project.contacts if code is Exit.CHECK_FAILED else ()
    return Result("diagnose", code, headline(data, seen), data=data, contacts=contacts)


def observe(project: Project, scope: Scope, rules: bank.Rules, report: Reporter) -> Observed:
    """Everything that the diagnosis is made from."""
    layout, record = project.layout, scope.run
    trainer = process.observe(layout, project.runbook.trainer)
    if record is None:
        return Observed(observed.now(), trainer)
    begin = logs.started_at(record) or 0.0
    since = begin if scope.begin is None and scope.since.kind != "all" else scope.begin or 0.0
    events = observed.events_of(layout, record)
    report.part("logs")
    kinds = signatures.wanted(scope.rules)
    survey = logs.errors_since(
        layout, scope.rules, record, scope.since, kinds=kinds, limit=LIMIT, expect=report.expect,
        progress=report.progress,
    )  # fmt: skip
    unread, part = _unread(survey)
    report.part("metrics")
    kernel, problem = observed.kernel_signs(since)
    quality = QualityComparer(project)
    return Observed(
        observed.now(), trainer, since,
        started=begin,
        progress=observed.progress(layout, record, events),
        pid=record.pid,
        wanted=record.wanted,
        events=tuple(event for event in events if event["t"] >= since or since <= begin),
        earlier=observed.earlier_ends(layout, record, since) if since < begin else (),
        rows=_rows(project, record, rules, _step_before(events, since) if since > begin else -1, report),
        logs=observed.log_signs(survey.tally, kinds),
        logs_unread=unread,
        logs_part=part,
        kernel=kernel,
        kernel_problem=problem,
        kernel_here=observed.on_this_kernel(record),
        kernel_pids=observed.has_pids_of_machine(record),
        killed=observed.killed_for_memory(record),
        checkpoints=observed.checkpoints(layout, project.runbook.files.models),
        quality=quality.compare(events),
        no_quality=quality.missing(events),
    )  # fmt: skip


def _unread(survey: logs.Survey) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(which logs can't be read, of which only a part was read)."""
    unread = [tr("{file}: {problem}", file=log.name, problem=log.problem) for log in survey.logs if log.problem]
    part = survey.partly + [tr("{file} does not exist", file=log.name) for log in survey.logs if log.missing]
    return tuple(unread), tuple(part)


def _step_before(events: Sequence[Mapping[str, Any]], since: float) -> int:
    """The last step that the trainer had reached at a time, by its events: rows have no times."""
    steps = [event["step"] for event in events if event["t"] < since and isinstance(event.get("step"), int)]
    return max(steps, default=-1)


def _rows(project: Project, record: ProcessRecord, rules: bank.Rules, after: int, report: Reporter) -> RunRows:
    return rows_of_run(
        project.layout, rules.columns, record.metrics_since, generation=record.generation,
        after=after, progress=report.progress,
    )  # fmt: skip


def data_of(
    project: Project,
    since: float | None,
    seen: Observed,
    found: Detected,
    diagnosis: Diagnosis,
    uncompared: Message | None,
) -> DiagnoseData:
    """What a diagnosis says. since: from when on, in Unix seconds; None for everything. uncompared: why the loss can't
    be compared with that of a baseline."""
    shown = [_cause(project, hypothesis) for hypothesis in diagnosis.hypotheses]
    verdict = "healthy" if diagnosis.healthy else "fault" if diagnosis.is_sure else "inconclusive"
    texts = {finding.detector: str(finding.text) for finding in found.findings}
    return DiagnoseData(
        verdict=verdict,  # type: ignore[arg-type]
        cause=shown[0] if shown else None,
        others=tuple(shown[1:]),
        notes=tuple(map(_sign, diagnosis.notes)),
        unknown=diagnosis.unknown,
        unseen=_unseen(seen, found, diagnosis.unknown, uncompared),
        detectors={name: texts.get(name, name) for name in found.active},
        state=seen.process.state,
        generation=seen.process.generation,
        step=found.state.step or seen.process.step,
        rows=seen.rows.count,
        since=iso(since),
    )


def _cause(project: Project, hypothesis: Hypothesis) -> Cause:
    configs = read_configs(project.layout.root, project.runbook.files)
    command, advice = causes.command_of(project.runbook, configs, hypothesis.cause)
    return Cause(
        name=hypothesis.cause,
        symptom=causes.symptom_of(project.runbook, hypothesis.cause) or None,
        title=causes.title_of(project.runbook, hypothesis.cause, project.language),
        confidence=hypothesis.confidence,
        command=command,
        advice=advice or None,
        evidence=tuple(map(_sign, hypothesis.evidence)),
        against=tuple(map(_sign, hypothesis.against)),
    )


def _sign(evidence: Evidence) -> Sign:
    return Sign(evidence.source, evidence.strength, evidence.text, iso(evidence.time))


def _unseen(seen: Observed, found: Detected, unknown: Sequence[str], uncompared: Message | None) -> tuple[str, ...]:
    """What could not be looked at, though nothing may be wrong with it."""
    why = [*seen.logs_part, *([seen.kernel_problem] if seen.kernel_problem else [])]
    if seen.pid and seen.killed is None:
        why.append(
            tr("whether the kernel killed the trainer for memory: its cgroup has no count, or none from the start")
        )
    if (text := uncompared or _outside(seen, found)) is not None:
        why.append(text)
    if seen.quality is None or seen.quality.verdict is Verdict.INCONCLUSIVE:
        why.append(tr("quality: it is not measured here; ask: atftctl verify"))
    missing = {role: str(getattr(found.rules, role)) for role, ready in found.ready.items() if not ready}
    if seen.rows.rows:
        absent = [column for column in missing.values() if column not in seen.rows.columns]
        why += [tr("the metrics have no column {metric}", metric=column) for column in absent]
        if few := [role for role, column in missing.items() if role != "loss" and column not in absent]:
            why.append(tr("too few rows to judge: {roles}", roles=joined(", ", few)))
    return tuple(text for text in why if text not in unknown)


def _outside(seen: Observed, found: Detected) -> Message | None:
    """Does the baseline's curve say nothing of the newest rows?"""
    steps, newest = found.rules.curve.steps, seen.rows.rows[-1].step if seen.rows.rows else None
    if newest is None or not steps or steps[0] <= newest <= steps[-1]:
        return None
    return tr("slow convergence: the baseline's loss curve is of the steps {first:,} to {last:,} only",
              first=steps[0], last=steps[-1])  # fmt: skip


def headline(data: DiagnoseData, seen: Observed) -> Message:
    """A diagnosis in one line."""
    if data.verdict == "healthy":
        state = {"stopped": tr("the trainer was stopped on purpose"), "finished": tr("the trainer has finished")}
        text = state.get(seen.process.state, tr("the trainer runs"))
        return tr(
            "healthy: {state}, step {step}, {rows} rows, nothing wrong was seen",
            state=text,
            step=data.step or 0,
            rows=data.rows,
        )
    cause = data.cause
    if cause is not None and data.verdict == "fault":
        name, word = cause.symptom or cause.name, confidence_word(cause.confidence)
        return tr("{name}: {title} ({confidence})", name=name, title=cause.title, confidence=word)
    if cause is not None:
        return tr("can't tell: {title} is possible", title=cause.title)
    return tr("can't tell: {reason}", reason=data.unknown[0])


def confidence_word(confidence: str) -> Message:
    """How sure a cause is, for people."""
    return {"certain": tr("certain"), "likely": tr("likely"), "possible": tr("possible")}[confidence]
