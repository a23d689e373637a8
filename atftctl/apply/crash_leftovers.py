"""Remove what a crash left half-written: temporary files, snapshots, work trees, private copies of the tool."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from atftctl.apply import branch_move
from atftctl.apply.snapshots import remove as removal
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import remove
from atftctl.host.files.folders import fsync_dir
from atftctl.host.self_copy import private_copy
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr, trn
from atftctl.state import held_checkpoints, history, sealed_records
from atftctl.state.layout import Layout


def remove_leftovers(layout: Layout) -> list[str]:
    """Remove all leftovers and return a line for each thing worth saying. Raises OSError.

    None of them was ever visible as a record, and under the project lock nobody else writes any.
    """
    evidence = [layout.operations / operation for operation in sealed_records.states(layout.journal)]
    pages = (layout.runbook.parent, f".{layout.runbook.stem}.*.md.*.tmp")  # of `runbook render`
    for folder, pattern in (*((place, ".*.tmp") for place in (*evidence, layout.state, layout.journal)), pages):
        removed = [remove(torn) for torn in folder.glob(pattern)]
        if any(removed):
            fsync_dir(folder)
    lines = _record_removals(layout)
    branch_move.sweep_worktrees(layout)
    private_copy.sweep(layout.tools, _tools_in_use(layout))
    held_checkpoints.sweep(layout)
    return lines + removal.sweep(layout)


def _record_removals(layout: Layout) -> list[str]:
    """Write the history line for snapshots whose removal a crash interrupted."""
    names = [name for name in removal.half_removed(layout) if not history.records_removal(layout, name)]
    if not names:
        return []
    title = trn(
        "finished removing snapshot {names}", "finished removing snapshots {names}", len(names), names=", ".join(names)
    )
    entry = history.new_entry("recover", title, "", datetime.now().astimezone())
    line = {**entry, "removed": names, "outcome": "done", "exit_code": int(Exit.DONE)}
    try:
        history.append_freeing(layout, line, lambda: removal.sweep(layout))
    except (OSError, HostError) as error:  # the disk is full even so; a rescue goes on without the line
        return [title, tr("the history could not be written: {reason}", reason=reason(error))]
    return [title]


def _tools_in_use(layout: Layout) -> set[str]:
    """Return the private copies of the tool that an open operation, or the timer of an unconfirmed change, still
    needs."""
    of_timer = str(sealed_records.try_read(layout.pending).get("tool"))
    in_use = {str(sealed_records.try_read(path).get("tool")) for path in layout.journal.glob("*.intent.json")}
    return in_use | {str(layout.tools / Path(of_timer).name)}  # the project may have been moved since
