"""`trainer_state.json` of the Trainer of Hugging Face: one JSON object, written as a whole with each checkpoint. Its
list `log_history` has what was logged from the first step on, also before a resume."""

from __future__ import annotations

import json

from atftctl.domain.run_rows import Row
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.formats.lines import flat

HISTORY = "log_history"
LIMIT = 64 << 20  # bytes


def rows_of_state(text: bytes, columns: Columns) -> list[Row]:
    """The rows of such a file. Raises ValueError where it is none."""
    try:
        state = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    history = state.get(HISTORY) if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise ValueError("no log_history")
    rows = list[Row]()
    for entry in history:
        if not isinstance(entry, dict):
            columns.counts.damaged += 1
        elif (row := columns.row(dict(flat(entry)))) is not None:
            rows.append(row)
    return rows
