"""What the scheduler says of one job. It is asked at most once in two seconds, and after an answer that did not come
not again for a minute: no command waits longer than LIMIT_S seconds for it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from atftctl.domain.process_record import ProcessRecord
from atftctl.host.slurm import accounting, cluster, listing
from atftctl.host.slurm.errors import SlurmError, SlurmLateError
from atftctl.host.slurm.facts import Job, JobFacts
from atftctl.host.slurm.states import Claim, claim_of
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state.layout import Layout

LIMIT_S = 6.0
FRESH_S = 2.0
PAUSE_S = 60.0
LOST_NODE = frozenset(("NODE_FAIL", "BOOT_FAIL"))


@dataclass(frozen=True)
class View:
    """What the scheduler says. `facts`: of the job; None where it knows no such job, or did not answer. `states`: its
    words, also from the accounts. `problem`: why it could not be asked. `asked`: was it asked, and did it answer?"""

    facts: JobFacts | None = None
    states: tuple[str, ...] = ()
    problem: str = ""

    @property
    def asked(self) -> bool:
        return not self.problem

    @property
    def claim(self) -> Claim | None:
        """What the states claim; None where the job is not known, or the scheduler did not answer."""
        return claim_of(self.states) if self.states else None

    @property
    def waiting(self) -> str:
        """Why the job waits for its nodes; "" where it does not wait."""
        if self.facts is None or self.claim is not Claim.WAITING:
            return ""
        return self.facts.reason or self.facts.state

    @property
    def has_lost_node(self) -> bool:
        """May the job have ended only in the scheduler's eyes, because it does not hear of a node?"""
        return bool(LOST_NODE & set(self.states)) or (self.asked and not self.states)

    @property
    def never_began(self) -> bool:
        """Did it end without ever having had a node?"""
        facts = self.facts
        return facts is not None and facts.claim is Claim.ENDED and not facts.nodes and not facts.restarts

    @property
    def text(self) -> Message | str:
        """What it says, for people."""
        if self.problem:
            return self.problem
        if not self.states:
            return tr("Slurm does not know this job any more")
        words = "+".join(self.states)
        where = tr("on {nodes}", nodes=self.facts.nodes) if self.facts and self.facts.nodes else ""
        return joined(" ", filter(None, [tr("Slurm says {states}", states=words), where]))


_known: dict[tuple[str, int, str], tuple[float, View]] = {}
_pause: list[tuple[float, str]] = []  # until when nobody is asked, and why


def mark_of(record: ProcessRecord) -> str:
    """The word in the comment of a job by which it is found."""
    return f"atftctl-{record.run_id}"


def look(layout: Layout, record: ProcessRecord, *, fresh: bool = False) -> View:
    """What the scheduler says of the recorded job; one whose number was never recorded is found by its comment.
    `fresh`: ask now, whatever was answered a moment ago."""
    key = (str(layout.root), record.pid, record.run_id)
    then, view = _known.get(key, (0.0, View()))
    if then and not fresh and time.monotonic() - then < FRESH_S:
        return view
    if why := paused():
        return View(problem=why)
    try:
        view = _ask(layout, record)
    except SlurmError as error:
        view = View(problem=failed(error))
    _known[key] = (time.monotonic(), view)
    return view


def paused() -> str:
    """Why the scheduler is not asked now; "" where it may be."""
    return next((why for until, why in _pause if time.monotonic() < until), "")


def failed(error: SlurmError) -> str:
    """Remember that it did not answer; return why."""
    if isinstance(error, SlurmLateError):
        _pause[:] = [(time.monotonic() + PAUSE_S, error.message)]
    return error.message


def _is_of(facts: JobFacts, record: ProcessRecord) -> bool:
    """Is this the job of the record, and no other that got the same number? One that was submitted by hand has no
    mark."""
    if record.run_id:
        return facts.has_mark(mark_of(record))
    return int(facts.submit_time or 0) == record.ticks and (facts.restarts or 0) == record.restarts


def _ask(layout: Layout, record: ProcessRecord) -> View:
    """Raises SlurmError."""
    root, began = layout.root, time.monotonic()
    if not record.pid:
        marked = listing.find_by_comment(root, mark_of(record), limit_s=LIMIT_S)
        facts = marked[0] if marked else None
    else:
        facts = listing.show(root, Job(record.pid), limit_s=LIMIT_S)
    if facts is not None and _is_of(facts, record):
        return View(facts, facts.states)
    left_s = LIMIT_S - (time.monotonic() - began)
    if record.boot and left_s > 1 and (here := cluster.name_of(root, limit_s=left_s)) not in ("", record.boot):
        values = {"number": record.pid, "cluster": record.boot, "here": here}
        return View(problem=tr("job {number} runs on the cluster {cluster}, and this machine is of {here}", **values))
    left_s = LIMIT_S - (time.monotonic() - began)
    accounts = accounting.accounting(root, Job(record.pid), limit_s=left_s) if record.pid and left_s > 1 else ()
    same = [entry for entry in accounts if not record.ticks or entry.submit_time == record.ticks]
    return View(None, same[-1].states) if same else View()
