"""`--metrics-file`: the state of the service as Prometheus text, for the folder of node exporter's textfile collector.
Only what is known is written: a value that is missing is absent, never zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from atftctl import __version__
from atftctl.decide.alerting.events import seconds
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.result import Result
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.operations.project import now
from atftctl.operations.report.status import StatusData
from atftctl.protocol.messages import tr

ENDING = ".prom"  # the collector reads no other files
WHERE = tr("name a file in a folder that you may write to, not behind a symlink")
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass
class Metric:
    """One metric and its samples: each a value with its labels."""

    name: str
    help: str
    samples: list[tuple[Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> Metric:
        """Add a sample, unless its value is not known."""
        if value is not None:
            self.samples.append((labels, value))
        return self

    def lines(self, common: Mapping[str, str]) -> Iterator[str]:
        """The metric in the text format, version 0.0.4; nothing where it has no sample. common: labels of each sample:
        where two files have the same one, as those of two projects would, node exporter drops one of them."""
        if self.samples:
            yield f"# HELP {self.name} {self.help}"
            yield f"# TYPE {self.name} gauge"
        for labels, value in self.samples:
            both = {**common, **labels}
            inside = ",".join(f'{name}="{text.translate(ESCAPES)}"' for name, text in both.items())
            yield f"{self.name}{{{inside}}} {_number(value)}"


def _number(value: float) -> str:
    """A number as Prometheus writes it: a loss that is NaN must be seen."""
    if math.isnan(value):
        return "NaN"
    return repr(value) if math.isfinite(value) else "+Inf" if value > 0 else "-Inf"


def check(path: Path) -> None:
    """Raises UsageError for a file that the collector would not read, and Refused for one in no folder: before anything
    is looked at."""
    if path.suffix != ENDING:
        raise UsageError(
            tr("{path} does not end in {ending}: node exporter would not read it", path=path, ending=ENDING),
            hint=tr("example: {option} {path}", option="--metrics-file", path=path.with_suffix(ENDING)),
        )
    if not path.parent.is_dir():
        raise Refused(
            tr("{path} could not be written: {folder} is not a folder", path=path, folder=path.parent),
            hint=WHERE,
        )


def write(path: Path, result: Result, root: Path) -> None:
    """Write the result of `status` in the project at `root`. The file is replaced as a whole: a reader sees the old one
    or the new one. Raises Refused where that fails."""
    data = result.data
    assert isinstance(data, StatusData)
    try:
        write_durably(path.absolute(), text_of(data, now(), root).encode("utf-8", "replace"), 0o644)
    except (OSError, HostError) as error:
        raise Refused(
            tr("{path} could not be written: {reason}", path=path, reason=reason(error)),
            hint=WHERE,
        ) from None


def text_of(data: StatusData, at: datetime, root: Path) -> str:
    """The state of the service in the text format."""
    common = {"service": data.service, "project": str(root)}
    return "".join(f"{line}\n" for metric in _metrics(data, at) for line in metric.lines(common))


def _metrics(data: StatusData, at: datetime) -> Iterator[Metric]:
    yield Metric("atftctl_info", "1; the version of atftctl as a label.").add(1, version=__version__)
    yield Metric("atftctl_status_timestamp_seconds", "When this was measured.").add(at.timestamp())
    yield from _trainer(data)
    features = Metric("atftctl_feature_on", "Is the improvement on? Absent where its setting is not a switch.")
    for name, feature in data.features.items():
        features.add({"on": 1.0, "off": 0.0}.get(feature.state), feature=name)
    yield features
    recent = Metric("atftctl_recent_value", "The newest value of a metric of the trainer, by its role in the runbook.")
    for role, each in data.recent.items():
        recent.add(each.curve.ys[-1], role=role)
    yield recent
    yield from _operations(data)


def _trainer(data: StatusData) -> Iterator[Metric]:
    trainer = data.trainer
    elsewhere = trainer.state in ("elsewhere", "lost", "unknown")
    up = None if elsewhere else float(trainer.state in ("starting", "running", "stopping"))
    yield Metric("atftctl_trainer_up", "Is the trainer's process alive? Absent where it runs on another host.").add(up)
    yield Metric("atftctl_trainer_state", "1; the state of the trainer as a label.").add(1, state=trainer.state)
    yield Metric("atftctl_last_step", "The newest training step that is known.").add(trainer.step)
    yield Metric("atftctl_trainer_generation", "The number of the trainer's start.").add(trainer.generation or None)
    memory = None if trainer.memory_mb is None else trainer.memory_mb * 1e6
    yield Metric("atftctl_trainer_memory_bytes", "Anonymous memory of the trainer.").add(memory)
    silence = Metric(
        "atftctl_trainer_silent_seconds", "Since when a living trainer gives no sign of life; absent if it does."
    )
    yield silence.add(trainer.silent_s)


def _operations(data: StatusData) -> Iterator[Metric]:
    yield Metric("atftctl_faults", "How many things are wrong, as status lists them.").add(len(data.faults))
    blocking = sum(fault.blocks for fault in data.faults)
    yield Metric("atftctl_blocking_faults", "How many of them block a rollback or a start.").add(blocking)
    yield Metric("atftctl_open_operation", "Is there an operation that was interrupted?").add(
        float(data.open_operation is not None)
    )
    yield Metric("atftctl_pending", "Does a change wait for its confirmation?").add(float(data.pending is not None))
    left = data.pending.left_s if data.pending else None
    yield Metric("atftctl_pending_left_seconds", "Until the change that waits is undone.").add(left)
    yield Metric("atftctl_snapshots", "Number of snapshots.").add(data.snapshots)
    yield Metric("atftctl_has_verified_good", "Is there a verified-good snapshot?").add(
        float(data.last_good is not None)
    )
    last = data.last_operation or {}
    ended, code = seconds(str(last.get("ended", ""))), last.get("exit_code")
    yield Metric("atftctl_last_operation_timestamp_seconds", "When the last operation ended.").add(ended)
    yield Metric("atftctl_last_operation_exit_code", "Exit code of the last operation; its command as a label.").add(
        code if isinstance(code, int) else None, command=str(last.get("command", ""))
    )
