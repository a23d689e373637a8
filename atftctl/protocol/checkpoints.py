"""The names of the checkpoints in the trainer's history. Read by both sides, with the standard library only."""

from __future__ import annotations

import re

HISTORY = "models/history"  # the folder, in the run folder, that holds earlier checkpoints
NAME = re.compile(r"step-(\d{1,12})-g(\d{1,9})\.pth")
LAST_NUMBER = re.compile(r"(\d{1,12})(?!.*\d)")


def history_name(step: int, generation: int) -> str:
    """The name of the checkpoint that the trainer of this generation saved after this step; names sort by step."""
    return f"step-{step:08d}-g{generation}.pth"


def parse_history_name(name: str) -> tuple[int, int] | None:
    """(step, generation) of a name that `history_name` gave; None for any other name."""
    match = NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def step_in(name: str) -> int | None:
    """The step that another trainer's name may hold, such as `checkpoint-500`: the last number in it; None for none."""
    known = parse_history_name(name)
    if known:
        return known[0]
    match = LAST_NUMBER.search(name)
    return int(match[1]) if match else None
