"""What was shown about rollbacks that the watcher would have done in healthy training."""

from __future__ import annotations

from typing import Any, Literal

from atftctl.domain.record import record

How = Literal["replay", "shadow"]


@record
class Span:
    """Steps of one generation of the trainer, all of them healthy as far as is known. `first`, `last`: its steps.
    `steps`: how many of them the detectors have judged. `acts`: rollbacks that would have been done. `faulty`: a fatal
    event has shown that they were not healthy."""

    how: How
    generation: int
    first: int
    last: int
    steps: int
    acts: int = 0
    faulty: bool = False

    def to_json(self) -> list[Any]:
        """As values that JSON has."""
        return [self.how, self.generation, self.first, self.last, self.steps, self.acts, self.faulty]

    @classmethod
    def from_json(cls, values: list[Any]) -> Span:
        """The span that these values describe. Raises TypeError or ValueError where they describe none."""
        made = cls(*values)
        numbers = (made.generation, made.first, made.last, made.steps, made.acts)
        if made.how not in ("replay", "shadow") or any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("no span of steps has these values")
        return made


@record
class Shown:
    """All that was shown with one set of thresholds. `steps`: healthy ones of this service's own runs. `acts`: false
    rollbacks in them. `generations`: of which so many runs. `bound`: upper 95 % bound of the rate. `missing`: further
    healthy steps that are needed if no act is added; 0 where it is enough."""

    steps: int
    acts: int
    generations: int
    bound: float
    missing: int

    @property
    def is_enough(self) -> bool:
        """May the watcher act by itself?"""
        return self.missing == 0
