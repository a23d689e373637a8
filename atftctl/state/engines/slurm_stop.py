"""Stop a trainer that runs as a job: ask it to save and leave, then cancel the job. That it has ended is shown by what
the run writes itself, not by what Slurm says."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from atftctl.domain.errors import NotProvenEnded, Refused
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.host import footprint
from atftctl.host.slurm import control
from atftctl.host.slurm.control import Whom
from atftctl.host.slurm.errors import SlurmError
from atftctl.host.slurm.facts import Job
from atftctl.host.slurm.states import Claim
from atftctl.protocol.messages import tr
from atftctl.state import exits
from atftctl.state.engines import slurm_view
from atftctl.state.engines.engine import StopOrder
from atftctl.state.engines.slurm_judge import describe
from atftctl.state.engines.slurm_signs import Quiet, Signs, signs_of
from atftctl.state.engines.slurm_view import View, look
from atftctl.state.layout import Layout

POLL_S = 0.25
KILL_S = 60.0  # after the cancellation; the KillWait of a site is 30 s, if nobody has changed it
LONGEST_SILENCE_S = 120.0  # that is waited for; a longer one is left to the operator
UNHEARD_S = 5.0  # how long files may not change after the end of a job that gives no other sign


def stop(layout: Layout, record: ProcessRecord | None, who: TrainerIdentity, order: StopOrder) -> list[int]:
    """Stop the job; return its number where it had to be cancelled. Raises Refused, NotProvenEnded."""
    if order.adopted or record is None:
        record = _as_record(who)
    stopping = _Stopping(layout, record, order)
    return stopping.run()


def _as_record(who: TrainerIdentity) -> ProcessRecord:
    """A record for a job that somebody else submitted: it has no mark, and its signs of life have no run."""
    return ProcessRecord("", "running", "", "", "", 0, pid=who.pid, ticks=who.ticks, boot=who.boot, engine=who.engine)


class _Stopping:
    def __init__(self, layout: Layout, record: ProcessRecord, order: StopOrder) -> None:
        self.layout, self.record, self.order = layout, record, order
        self.quiet = Quiet(layout, record)
        view = look(layout, record, fresh=True)
        self.number = record.pid or (view.facts.job_id if view.facts else 0)
        self.known = view.facts is not None  # Slurm says that this number is still our job

    def run(self) -> list[int]:
        if self._ended():
            return self._done([])
        if self._hopeless(""):
            raise self._unproven("")
        waiting = bool(look(self.layout, self.record).waiting)
        if not waiting:
            self._ask()
            if self._await(self._ended, self.order.grace_s):
                return self._done([])
            self.order.note(
                tr("job {number} did not end within {grace_s:g} s: cancelling it", number=self.number,
                   grace_s=self.order.grace_s)
            )  # fmt: skip
        problem = self._cancel()
        limit_s = 0.0 if problem else KILL_S
        if not self._await(self._ended, limit_s, unless=lambda: self._hopeless(problem)):
            raise self._unproven(problem)
        return self._done([] if waiting else [self.number])

    def _done(self, killed: list[int]) -> list[int]:
        footprint.leave(tr("stopped the trainer (job {number})", number=self.number))
        self.order.ended()
        return killed

    def _ask(self) -> None:
        """Ask in two ways: one that reads requests acts on them at a step, the same for all of its processes; one that
        does not gets the signal."""
        asked = bool(self.record.run_id) and not self.record.ready and self.order.ask()
        if self.known and not (asked and self.record.processes > 1):
            try:
                control.send_signal(
                    self.layout.root, Job(self.number), signal.SIGTERM, Whom.BATCH, limit_s=slurm_view.LIMIT_S
                )
            except SlurmError as error:
                slurm_view.failed(error)

    def _cancel(self) -> str:
        """Cancel the job; return why that could not be done."""
        if not self.known or slurm_view.paused():
            return str(look(self.layout, self.record).text)
        try:
            control.cancel(self.layout.root, Job(self.number), limit_s=slurm_view.LIMIT_S)
        except SlurmError as error:
            return slurm_view.failed(error)
        return ""

    def _await(self, condition: Callable[[], bool], limit_s: float, unless: Callable[[], bool] = lambda: False) -> bool:
        deadline = time.monotonic() + limit_s
        while not condition():
            silence_s = self._silence_s()
            if unless() or time.monotonic() > deadline + min(silence_s, LONGEST_SILENCE_S):
                return False
            time.sleep(POLL_S)
        return True

    def _silence_s(self) -> float:
        """How long to watch beyond the limit, so that a silence can be long enough."""
        signs = signs_of(self.layout, self.record)
        return (
            signs.limit_s if signs.beat_s is not None and look(self.layout, self.record).claim is Claim.ENDED else 0.0
        )

    def _ended(self) -> bool:
        """Is it shown that nothing of the run is left?"""
        view, signs = look(self.layout, self.record), signs_of(self.layout, self.record)
        quiet_s = self.quiet.seconds()
        if signs.over or (signs.final and view.claim is not Claim.RUNNING):
            return True
        if view.claim is not Claim.ENDED or view.has_lost_node:
            return False
        if view.never_began or (self.record.run_id and not signs.began):
            return True
        if self._silent(signs, quiet_s):
            if self.record.run_id:
                exits.close(self.layout, self.record.run_id, "silence")
            return True
        return False

    def _silent(self, signs: Signs, quiet_s: float) -> bool:
        """Has nothing changed for as long as a living trainer may be silent? By our own clock."""
        if not self.record.run_id:  # submitted by hand: its files are all that there is to see
            return quiet_s > UNHEARD_S
        return signs.beat_s is not None and quiet_s > signs.limit_s

    def _hopeless(self, problem: str) -> bool:
        """Is there nothing to wait for?"""
        view, signs = look(self.layout, self.record), signs_of(self.layout, self.record)
        if signs.fresh:
            return False
        if problem and not self.known:
            return True
        unseen = bool(self.record.run_id) and signs.beat_s is None
        return view.asked and view.claim in (None, Claim.ENDED) and (view.has_lost_node or unseen)

    def _unproven(self, problem: str) -> NotProvenEnded:
        view, signs = look(self.layout, self.record), signs_of(self.layout, self.record)
        known = describe(self.record, view if not problem else View(view.facts, view.states, problem), signs)
        return NotProvenEnded(
            tr("nobody can show that the trainer has ended: {known}", known=known),
            state=tr("no file has changed; no second trainer was started"),
            hint=tr(
                "look on that machine; once it is sure that the trainer has ended, or whatever it saves late may be "
                "lost, run this command again with --fence"
            ),
        )


def refuse_inside(number: int) -> Refused:
    """The refusal to stop a job that this command runs in."""
    return Refused(
        tr("this command runs in the trainer's own job ({number}), and would stop itself", number=number),
        hint=tr("run this command from another shell"),
    )
