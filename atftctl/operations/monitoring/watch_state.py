"""The whole state of a watcher: where it goes on to read, and what it has concluded from what it read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from hashlib import sha256
from typing import Any

from atftctl.decide.detectors import bank, codec
from atftctl.domain.finding import Finding
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.record import record
from atftctl.host.files.growing import Place
from atftctl.observe.metrics.following import Followed, followed_since
from atftctl.observe.trainer_run.following import RunEvents
from atftctl.protocol.messages import Message, from_record, record_of

COUNTED = 1000  # alarms of one detector that are told apart


@record
class Alarms:
    """The alarms of one detector on one column: the newest one, and how many there were."""

    finding: Finding
    count: int = 1


@record
class Watched:
    """What was seen of one run. `rules`: what the detectors watched, as a digest. `alarms`: in the order in which their
    detectors had the first one. `total`: alarms of this run."""

    run_id: str
    generation: int
    rules: str
    rows: Followed = field(default_factory=Followed)
    events: RunEvents = field(default_factory=RunEvents)
    detectors: bank.State = field(default_factory=bank.State)
    alarms: tuple[Alarms, ...] = ()
    total: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All alarms, as far as they are told apart."""
        return tuple(alarms.finding for alarms in self.alarms for _ in range(min(alarms.count, COUNTED)))

    def with_findings(self, findings: tuple[Finding, ...]) -> Watched:
        """The state with these alarms more."""
        alarms = {(known.finding.detector, known.finding.column): known for known in self.alarms}
        for finding in findings:
            key = (finding.detector, finding.column)
            alarms[key] = Alarms(finding, alarms[key].count + 1 if key in alarms else 1)
        return replace(self, alarms=tuple(alarms.values()), total=self.total + len(findings))

    def to_json(self) -> dict[str, Any]:
        """As values that `json` writes."""
        return {
            "run_id": self.run_id,
            "generation": self.generation,
            "rules": self.rules,
            "rows": codec.to_json(self.rows),
            "events": self.events.to_json(),
            "detectors": codec.to_json(self.detectors),
            "alarms": [_alarms_json(alarms) for alarms in self.alarms],
            "total": self.total,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Watched:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError where it is something else."""
        return cls(
            str(body["run_id"]),
            int(body["generation"]),
            str(body["rules"]),
            codec.from_json(Followed, body["rows"]),
            RunEvents.from_json(body["events"]),
            codec.from_json(bank.State, body["detectors"]),
            tuple(map(_alarms, body["alarms"])),
            int(body["total"]),
        )


def digest_of(rules: bank.Rules) -> str:
    """What tells these rules from others."""
    return sha256(repr(rules).encode()).hexdigest()


def begin(run: ProcessRecord) -> Watched:
    """The state before anything of a run was read: from the places on that were recorded at its start."""
    return Watched(
        run.run_id,
        run.generation,
        "",
        followed_since(run.metrics_since),
        RunEvents(Place(run.events_inode, run.events_from)),
    )


def _alarms_json(alarms: Alarms) -> dict[str, Any]:
    finding = alarms.finding
    return {**finding._asdict(), "text": record_of(finding.text), "count": alarms.count}


def _alarms(body: Mapping[str, Any]) -> Alarms:
    text = from_record(body["text"])
    message = text if isinstance(text, Message) else Message(text)
    return Alarms(Finding(str(body["detector"]), str(body["column"]), int(body["step"]), message), int(body["count"]))
