"""Stop a trainer of this machine, with all processes of its run, and prove that nobody is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from atftctl.domain.errors import InterventionNeeded, NotProvenEnded, Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.host import footprint
from atftctl.host.errors import StillAliveError
from atftctl.host.process import gpu, rights
from atftctl.host.process import stop as control
from atftctl.host.process import table as procs
from atftctl.protocol.messages import joined, tr
from atftctl.state.engines.engine import StopOrder
from atftctl.state.layout import Layout
from atftctl.state.process_record import marker

RELEASE_S = 15.0  # how long to wait until a graphics card has released the memory of an ended process


def stop(layout: Layout, record: ProcessRecord | None, who: procs.Identity, order: StopOrder) -> list[int]:
    """Stop this process and all that belongs to it; return the pids that had to be killed.

    Several processes are asked by a request in the run folder, which all of them see at the same step: their launcher
    would pass a signal on to each at a different step. Raises InterventionNeeded where a process does not end.
    """
    own = record is not None and (record.detached or record.pid in (0, who.pid))
    mark = marker(record) if record and own else ""
    uid = None if order.adopted else rights.uid_of(layout.root)
    pids = {process.pid for process in procs.members(who, mark, uid)}
    try:
        asked = bool(mark) and record is not None and record.processes > 1 and order.ask()
        killed = control.stop(who, mark, grace_s=order.grace_s, note=order.note, signalled=not asked, uid=uid)
        if pids:
            footprint.leave(tr("stopped processes (pid {pids})", pids=_listed(pids)))
    except StillAliveError as error:
        raise _still_alive(error) from None
    if own:
        order.ended()
    _await_card(pids, order.note)
    return killed


def _await_card(pids: set[int], note: Callable[[str], None]) -> None:
    """Host memory goes with the process; the card's may take longer."""
    if left := gpu.await_released(pids, RELEASE_S):
        note(
            tr(
                "the GPU still holds memory of ended processes (pid {pids}) after {seconds:g} s",
                pids=_listed(left),
                seconds=RELEASE_S,
            )
        )


def refuse_above(pid: int) -> Refused:
    """The refusal to stop a process that this command runs below."""
    return Refused(
        tr("this command was started by the trainer itself (pid {pid}), and would stop itself", pid=pid),
        hint=tr("run this command from another shell"),
    )


def another_process(pid: int) -> InterventionNeeded:
    """The error for a process that is recorded as the trainer and is not the trainer."""
    return InterventionNeeded(
        tr(
            "pid {pid} is recorded as the trainer but is another process: it has no mark of the run, or belongs to "
            "another user",
            pid=pid,
        ),
        state=tr("the process was not signalled; no file has changed"),
        hint=tr("check the process: ps -p {pid}; if the record is wrong: rm .atftctl/process.json", pid=pid),
    )


def _still_alive(error: StillAliveError) -> NotProvenEnded:
    letters = {pid: procs.state_letter(pid) for pid in error.pids}
    sleeping = [str(pid) for pid, letter in letters.items() if letter == "D"]
    message: str = tr("processes are still alive after SIGKILL: pid {pids}", pids=_listed(error.pids))
    if sleeping:
        in_sleep = tr("in uninterruptible sleep: pid {pids}", pids=", ".join(sleeping))
        message = joined("; ", [message, in_sleep])
    return NotProvenEnded(
        message,
        state=tr("no file has changed; no second trainer was started"),
        hint=tr("find out what they wait for (a failed disk or network share), then run this command again"),
    )


def _listed(pids: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(pids)))
