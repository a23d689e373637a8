"""The progress of a plan of `reenable`, phase by phase. It is kept on disk, so that a crash, a reboot or a change of
operators loses nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from atftctl.domain.metric_rules import MetricsPlace, MetricsSince
from atftctl.domain.process_record import places_from
from atftctl.domain.runbook import Phase
from atftctl.domain.text import moment
from atftctl.protocol import config_digest
from atftctl.protocol.messages import Message, from_record, record_of, tr

# changing: its files are being changed. watching: its gate is open. held: the gate was inconclusive, or somebody
# stopped the watch. undoing: the gate failed, and the phase is being undone. accepted: inconclusive, and taken by the
# operator. void: its settings were taken away after that.
Doing = Literal["changing", "watching", "held", "undoing", "passed", "accepted", "failed", "void"]
OPEN: tuple[Doing, ...] = ("changing", "watching", "held", "undoing")
GOOD: tuple[Doing, ...] = ("passed", "accepted")
DOING_TEXTS: Mapping[str, Message] = {
    "not begun": tr("not begun"),
    "changing": tr("being changed"),
    "watching": tr("being watched"),
    "held": tr("held"),
    "undoing": tr("being undone"),
    "passed": tr("passed"),
    "accepted": tr("accepted although inconclusive"),
    "failed": tr("failed"),
    "void": tr("void"),
}


@dataclass(frozen=True)
class View:
    """What a gate judges: the steps of one run of the trainer.

    `run_id`: "" where no trainer runs with the phase's settings yet. `metrics_from`: bytes of the metrics before the
    window. `models`: SHA-256 of the model files when the window began, by path. `digest`: of the settings that the run
    has in the window; "" where that is not known.
    """

    run_id: str = ""
    metrics_from: int = 0
    metrics_inode: int = 0  # of the file that `metrics_from` is for; 0 where that is not known
    models: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    metrics_files: tuple[MetricsPlace, ...] = ()  # see ProcessRecord

    @property
    def metrics_since(self) -> MetricsSince:
        """The rows of the window are behind this."""
        return MetricsSince(self.metrics_from, self.metrics_inode, self.metrics_files)


@dataclass(frozen=True)
class PhaseRecord:
    """One phase that was begun. `operation`: the id of its change; "" where its settings were in place already.
    `evidence`: what its gate saw, a line each. `note`: why it was accepted, why it is held or void. `forced`: the
    reason given with --force."""

    number: int
    doing: Doing
    began: str
    operator: str
    ended: str = ""
    operation: str = ""
    snapshot: str = ""
    view: View = field(default_factory=View)
    evidence: tuple[str, ...] = ()
    note: str = ""
    forced: str = ""
    undone_by: str = ""

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> PhaseRecord:
        """Raises KeyError, TypeError or ValueError where the body describes none."""
        view = body["view"]
        whole = isinstance(view, Mapping) and isinstance(view["models"], Mapping)
        if not whole or not isinstance(body["evidence"], list):
            raise TypeError("a part of a phase is not what it must be")
        record = cls(
            **{
                **{name.name: body[name.name] for name in fields(cls)},
                "view": View(**{**view, "metrics_files": places_from(view.get("metrics_files", []))}),
                "evidence": tuple(map(from_record, body["evidence"])),
                "note": from_record(body["note"]),
            }
        )
        texts = (*(vars(record)[name] for name in TEXTS), record.view.run_id, record.view.digest, *record.evidence)
        models = (*record.view.models.keys(), *record.view.models.values())
        if not all(isinstance(text, str) for text in (*texts, *models)):
            raise TypeError("a text of a phase is not a text")
        numbers = (record.number, record.view.metrics_from, record.view.metrics_inode)
        if any(type(number) is not int for number in numbers):
            raise TypeError("a number of a phase is not a number")
        if record.doing not in get_args(Doing):
            raise ValueError("no phase can be in this state")
        return record


TEXTS = ("began", "operator", "ended", "operation", "snapshot", "note", "forced", "undone_by")


@dataclass(frozen=True)
class Reenabling:
    """The phases of one plan that were begun. `contents`: settings and gate of every phase of the plan, as they were
    then. `maker`: the atftctl process that changes or watches, as `pid-ticks` (see host.process.owner)."""

    plan: str
    contents: tuple[Mapping[str, Any], ...]
    started: str
    phases: tuple[PhaseRecord, ...] = ()
    maker: str = ""

    @property
    def digest(self) -> str:
        """Of the phases: an edited plan has another one."""
        return config_digest({"phases": list(self.contents)})

    @property
    def count(self) -> int:
        return len(self.contents)

    @property
    def open(self) -> PhaseRecord | None:
        """The phase that is neither passed nor failed; None where none is."""
        return next((phase for phase in self.phases if phase.doing in OPEN), None)

    @property
    def pid(self) -> str:
        """Of the atftctl process that changes or watches."""
        return self.maker.partition("-")[0]

    def phase(self, number: int) -> PhaseRecord | None:
        """The record of a phase; None where it was not begun."""
        return next((phase for phase in self.phases if phase.number == number), None)

    def having(self, phase: PhaseRecord) -> Reenabling:
        """The progress with this record in the place of the phase's earlier one."""
        others = [other for other in self.phases if other.number != phase.number]
        return replace(self, phases=tuple(sorted([*others, phase], key=lambda known: known.number)))

    def to_json(self) -> dict[str, Any]:
        """The progress as JSON keeps it; what gates saw stays translatable."""
        body = asdict(self)
        for kept, phase in zip(body["phases"], self.phases, strict=True):
            kept |= {"evidence": [record_of(line) for line in phase.evidence], "note": record_of(phase.note)}
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Reenabling:
        """The progress that a JSON object describes. Raises KeyError, TypeError or ValueError where it describes
        none."""
        contents = tuple(
            {"settings": dict(phase["settings"]), "gate": dict(phase["gate"])} for phase in body["contents"]
        )
        phases = tuple(PhaseRecord.from_json(phase) for phase in body["phases"])
        state = cls(body["plan"], contents, body["started"], phases, body["maker"])
        if not all(isinstance(text, str) for text in (state.plan, state.started, state.maker)):
            raise TypeError("a text of the record is not a text")
        numbers = [phase.number for phase in phases]
        if numbers != sorted(set(numbers)) or not all(1 <= number <= len(contents) for number in numbers):
            raise ValueError(tr("the record names a phase that is not in its plan"))
        return state


@dataclass(frozen=True)
class Halt:
    """Somebody stopped the phases: none may begin, and the one that is watched is held."""

    operator: str
    at: str
    reason: str

    @property
    def summary(self) -> Message:
        """The sentence that says so."""
        at = moment(self.at)
        if self.reason:
            return tr("halted by {operator} ({at}): {reason}", operator=self.operator, at=at, reason=self.reason)
        return tr("halted by {operator} ({at})", operator=self.operator, at=at)


def contents_of(phases: Sequence[Phase]) -> tuple[dict[str, Any], ...]:
    """Settings and gate of each phase, as JSON holds them."""
    return tuple({"settings": dict(phase.settings), "gate": phase.gate.contents()} for phase in phases)
