"""The progress of a staged rollback. It is kept on disk, so that a crash or a change of operators loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from atftctl.domain.runbook import Stage
from atftctl.protocol.messages import tr


@dataclass(frozen=True)
class StagedState:
    """The stages of one staged rollback. `at`: the index of the current stage. `operations`: ids of the changes made so
    far."""

    symptom: str
    stages: tuple[Stage, ...]
    at: int
    doing: Literal["changing", "watching"]
    operations: tuple[str, ...]
    started: str
    operator: str
    reason: str
    run_id: str = ""  # of the trainer that is watched
    maker: str = ""  # the atftctl process that carries it out, as `pid-ticks` (see host.process.owner)

    @property
    def pid(self) -> str:
        """Of the atftctl process that carries it out."""
        return self.maker.partition("-")[0]

    @property
    def summary(self) -> str:
        """The sentence that says which stage is open. It is also true where the process that was at it has died."""
        return tr(
            "a staged rollback ({symptom}) is open, at stage {number} of {count} ({name})",
            symptom=self.symptom,
            number=self.at + 1,
            count=len(self.stages),
            name=self.stages[self.at],
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> StagedState:
        """The state that a JSON object describes. Raises KeyError, TypeError or ValueError where it describes none."""
        known = {name: body[name] for name in cls.__dataclass_fields__}
        state = cls(**{**known, "stages": tuple(body["stages"]), "operations": tuple(body["operations"])})
        if not 0 <= state.at < len(state.stages):
            raise ValueError(tr("the record names a stage that is not in its list"))
        return state
