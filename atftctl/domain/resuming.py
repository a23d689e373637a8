"""The checkpoint that a plan resumes from."""

from __future__ import annotations

from typing import Any

from atftctl.domain.checkpoint import Grade
from atftctl.domain.record import record
from atftctl.domain.steps import Target
from atftctl.domain.units import Unit, about_units


@record
class Resuming:
    """Which checkpoint was chosen, and how the trainer gets it.

    `resume`: what the trainer is told to resume from. `targets`: the files that are put in place of the last
    checkpoint; none where the trainer resumes from the chosen one as it is. `units`: places that hold nothing else
    afterwards. `path`: of the chosen one. `step`: None where that is not known. `grade`: the one it has. `notes`: how
    it was chosen, and what it costs.
    """

    resume: str
    targets: tuple[Target, ...] = ()
    path: str = ""
    step: int | None = None
    grade: Grade = ""
    notes: tuple[str, ...] = ()
    units: tuple[Unit, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """What the history keeps of it."""
        step = {} if self.step is None else {"checkpoint_step": str(self.step)}
        known = {"checkpoint": self.path, "checkpoint_grade": self.grade, **step} if self.path else {}
        return {**known, **about_units(self.units)}
