"""The words of the page of an incident, for HTML, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from atftctl.domain.curve import number_text
from atftctl.protocol.messages import Message, joined, tr, trn

if TYPE_CHECKING:
    from atftctl.operations.report.incident_data import AroundData, CheckData, CostData, IncidentPart, SideData

KINDS = {
    "sign": tr("sign"),
    "decision": tr("decision"),
    "change": tr("change"),
    "proof": tr("proof"),
    "later": tr("later"),
}
VERDICTS = {"pass": tr("pass"), "fail": tr("FAIL"), "inconclusive": tr("inconclusive")}
FACTS = {  # what else a record may hold
    "symptom": tr("symptom"),
    "fault_step": tr("step of the fault"),
    "fault_config": tr("config of the fault"),
    "checkpoint": tr("checkpoint to resume from"),
    "checkpoint_grade": tr("its grade"),
    "checkpoint_step": tr("its step"),
    "undo_of": tr("undoes"),
    "confirms": tr("confirms"),
    "forced": tr("forced because"),
}
GOOD = ("done",)  # outcomes


def heading(part: IncidentPart) -> str:
    """The title of an operation."""
    return part.title or part.command


def summary(part: IncidentPart) -> Message:
    """What happened, in one sentence."""
    if not part.outcome:
        return tr("{operator} ran {command}", operator=part.operator, command=part.command)
    return tr(
        "{operator} ran {command}; the operation ended: {outcome}",
        operator=part.operator or "?",
        command=part.command,
        outcome=part.outcome,
    )


def overview(part: IncidentPart) -> Iterator[tuple[str, str]]:
    """(name, value) of what is known at a glance; a name of our own is a Message, one of the record is not."""
    yield tr("operation"), part.operation
    yield tr("command"), part.command
    yield tr("situation before"), part.situation
    yield tr("outcome"), outcome(part)
    yield tr("verdict"), part.verdict
    yield tr("verify since then"), verified(part)
    yield tr("started"), moment(part.started)
    yield tr("ended"), moment(part.ended)
    yield tr("snapshot of before"), f"backups/{part.snapshot}" if part.snapshot else ""


def failed(part: IncidentPart) -> list[str]:
    """The checks that failed, of the checklist that was made after the operation."""
    return [check.name for check in part.checks if check.at and check.verdict == "fail"]


def verified(part: IncidentPart) -> str:
    """What `verify` said after the operation; "" where nobody ran it."""
    at = next((check.at for check in part.checks if check.at), "")
    if checks := failed(part):
        return tr(
            "{verdict}, at {moment}: {checks}", verdict=VERDICTS["fail"], moment=moment(at), checks=joined(", ", checks)
        )
    return tr("{verdict}, at {moment}", verdict=VERDICTS["pass"], moment=moment(at)) if at else ""


def outcome(part: IncidentPart) -> str:
    if part.exit_code is None:
        return part.outcome
    return tr("{outcome} (exit code {code})", outcome=part.outcome, code=part.exit_code)


def decision(part: IncidentPart) -> Iterator[tuple[str, str]]:
    """Who decided, and why."""
    yield tr("decided by"), part.operator or tr("not recorded")
    yield tr("reason"), part.reason or tr("not recorded")
    yield from ((FACTS.get(name, name), value) for name, value in part.facts.items())


def costs(cost: CostData) -> Iterator[tuple[str, str]]:
    """(name, value) of what it cost."""
    from atftctl.operations.report.metrics_notes import duration

    unknown = tr("not known")
    yield (
        tr("training steps given up"),
        unknown if cost.steps is None else trn("{count} step", "{count} steps", cost.steps),
    )
    yield tr("training time given up"), unknown if cost.training_s is None else duration(cost.training_s)
    yield tr("time without training"), unknown if cost.down_s is None else duration(cost.down_s)
    yield tr("time that the operation took"), unknown if cost.took_s is None else duration(cost.took_s)


def verdict(check: CheckData) -> str:
    return VERDICTS.get(check.verdict, check.verdict)


def figures(side: SideData) -> Message:
    """The figures of one side of a curve."""
    if not side.count:
        return tr("no values")
    values = [
        tr("last {value}", value=number_text(side.last) if isinstance(side.last, float | int) else str(side.last)),
        tr("median {value}", value=number_text(side.median) or "?"),
        tr("least {value}", value=number_text(side.least) or "?"),
        tr("greatest {value}", value=number_text(side.greatest) or "?"),
    ]
    if side.bad:
        values.append(trn("{count} value is not finite", "{count} values are not finite", side.bad))
    return joined(", ", values)


def title_of(curve: AroundData) -> str:
    """The title of a curve with its unit."""
    return f"{curve.title} ({curve.unit})" if curve.unit else curve.title


def more(count: int) -> Message:
    """How many of a list are not shown."""
    return trn("and {count} more; --json lists all", "and {count} more; --json lists all", count)


def moment(written: str) -> str:
    """A time as `2026-11-30 08:45:16 UTC`; as it is where it is none."""
    try:
        at = datetime.fromisoformat(written).astimezone(UTC)
        return tr("{moment} UTC", moment=at.strftime("%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return written
