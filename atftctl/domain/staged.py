"""Where a staged rollback stands, as it is kept on disk: a crash, or an operator who goes to bed, loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from atftctl.domain.runbook import Stage


@dataclass(frozen=True)
class StagedState:
    """`stages`: the names of those that are to be gone through; `at`: which of them is under way, from 0."""

    symptom: str
    stages: tuple[Stage, ...]
    at: int
    doing: Literal["changing", "watching"]
    operations: tuple[str, ...]
    started: str
    operator: str
    reason: str
    run_id: str = ""  # of the trainer that is watched
    maker: str = ""  # the process that carries it out, as host.process.owner names it: pid-ticks

    @property
    def pid(self) -> str:
        return self.maker.partition("-")[0]

    @property
    def summary(self) -> str:
        name = self.stages[self.at]
        return (
            f"a staged rollback ({self.symptom}) is {self.doing} at stage {self.at + 1} of {len(self.stages)}, {name}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> StagedState:
        """Raises KeyError, TypeError or ValueError for what is none."""
        known = {name: body[name] for name in cls.__dataclass_fields__}
        state = cls(**{**known, "stages": tuple(body["stages"]), "operations": tuple(body["operations"])})
        if not 0 <= state.at < len(state.stages):
            raise ValueError("no such stage")
        return state
