"""Why the trainer died, in words."""

from __future__ import annotations

from typing import Any

import pytest

from atftctl import protocol
from atftctl.decide.verdicts.crash_cause import cause

OOM = {"event": protocol.OOM, "step": 6, "message": "CUDA out of memory"}


def test_other_processes_on_the_card_are_named() -> None:
    holders = [{"pid": 4711, "mb": 20480}, {"pid": 9, "mb": 0}]
    text = str(cause({**OOM, "card": {"free_mb": 1, "holders": holders}}))
    assert text == (
        "out of memory in step 7: CUDA out of memory; other processes hold memory of the graphics card: "
        "pid 4711 (20,480 MB), pid 9 (0 MB)"
    )


@pytest.mark.parametrize("card", [None, [], {}, {"holders": None}, {"holders": ["x", {"pid": "1", "mb": 2}]}])
def test_a_card_that_says_nothing_adds_nothing(card: Any) -> None:
    assert str(cause({**OOM, "card": card})) == "out of memory in step 7: CUDA out of memory"
