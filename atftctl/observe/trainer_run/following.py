"""Follow the events of one run of the trainer, and keep those that say how it goes: as many for a long run as for a
short one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.domain.pairing import KEYS
from atftctl.domain.record import record
from atftctl.host.files.growing import BEGIN, GrowingFile, Place

MOST = 64  # events that are kept
LONGEST = 2000  # characters of a text that is kept
TABLES, LONGEST_TABLE = tuple(KEYS.values()), 1 << 17  # of an evaluation: about 4,000 values
ONCE = (protocol.STARTED, protocol.FIRST_STEP, protocol.EVALUATED, protocol.RELOADED)  # only the newest one counts
NAMES = (
    *ONCE, protocol.CHECKPOINT, protocol.OOM, protocol.RECOVERED, protocol.ANOMALY, protocol.SAVE_FAILED,
    protocol.HANG, protocol.WORKER_LOST, protocol.FENCED, protocol.STOPPED,
)  # fmt: skip

USUAL = (protocol.CHECKPOINT, protocol.EVALUATED)  # while a trainer runs

Event = Mapping[str, Any]


@record
class RunEvents:
    """The events of one run so far, and where to go on (see `GrowingFile`). `kept`: those that say how it goes, in
    their order. `evaluations`: how many were finished. `step`: the greatest one. `newest`: the time of the newest
    one, in Unix seconds."""

    place: Place = BEGIN
    old: Place = BEGIN
    kept: tuple[Event, ...] = ()
    evaluations: int = 0
    step: int = -1
    newest: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As values that `json` writes."""
        return {**vars(self), "place": list(self.place), "old": list(self.old), "kept": [*self.kept]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> RunEvents:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError where it is something else."""
        kept = tuple(event for event in body["kept"] if protocol.is_event(event))
        if len(kept) != len(body["kept"]):
            raise ValueError("no events of a run")
        places = Place(*body["place"]), Place(*body["old"])
        return cls(*places, kept, int(body["evaluations"]), int(body["step"]), float(body["newest"]))


class EventFollower:
    """Reads the events of one run. What another run wrote is left out, whatever it says."""

    def __init__(self, root: Path, run_id: str, state: RunEvents) -> None:
        self._file = GrowingFile(root, protocol.EVENTS, state.place, state.old)
        self._run_id, self._known = run_id, state
        self._again = 0.0  # events up to this time may come again

    @property
    def state(self) -> RunEvents:
        """What was read so far, and where to go on."""
        place, old = self._file.places
        return replace(self._known, place=place, old=old)

    def read(self) -> tuple[bool, bool]:
        """Read the events that were added: (was any kept? Was one of those more than a save or an evaluation?)"""
        kept = set[str]()
        for piece in self._file.pieces():
            self._again = self._known.newest if piece.again else self._again
            for line in piece.data.split(b"\n"):
                event = protocol.parse_event(line) if line else None
                if event and event.get("run_id") == self._run_id and event["t"] > self._again:
                    self._take(event)
                    kept.add(event["event"])
        kept &= {*NAMES}
        return bool(kept), bool(kept - {*USUAL})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, event: Event) -> None:
        known, step, name = self._known, event.get("step"), event["event"]
        self._known = replace(
            known,
            kept=keep(known.kept, event) if name in NAMES else known.kept,
            evaluations=known.evaluations + (name == protocol.EVALUATED),
            step=max(known.step, step) if type(step) is int else known.step,
            newest=max(known.newest, float(event["t"])),
        )


def keep(kept: Sequence[Event], event: Event) -> tuple[Event, ...]:
    """The events that are kept, with one more. Of those that only the newest counts of, and of the saves of one file,
    the newest one stays. Where they are too many, the oldest go but for the first step."""
    name, path = event["event"], event.get("path")
    slim = {key: _slim(value) for key, value in event.items() if key != "effective" and _fits(key, value)}
    others = [
        other
        for other in kept
        if other["event"] != name or not (name in ONCE or (name == protocol.CHECKPOINT and other.get("path") == path))
    ]
    if len(others) >= MOST:
        del others[next((at for at, other in enumerate(others) if other["event"] not in ONCE), 0)]
    return (*others, slim)


def _fits(key: str, value: Any) -> bool:
    return isinstance(value, str) or len(str(value)) < (LONGEST_TABLE if key in TABLES else LONGEST)


def _slim(value: Any) -> Any:
    """Long texts are cut; the settings of the trainer, and long tables, are left out."""
    return value[:LONGEST] if isinstance(value, str) else value
