"""What Slurm's claim and the run's own signs mean together."""

from __future__ import annotations

from atftctl.domain.process_record import ProcessRecord
from atftctl.host.slurm.states import Claim
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state.engines.slurm_signs import Signs
from atftctl.state.engines.slurm_view import View


class Judged:
    """What Slurm's claim and the run's own signs mean together; see `Seen`."""

    def __init__(
        self,
        *,
        alive: bool = False,
        waiting: str = "",
        unknown: str = "",
        unproven: Message | str = "",
        blocked: bool = False,
        remark: Message | str = "",
    ) -> None:
        self.alive, self.waiting, self.unknown = alive, waiting, unknown
        self.unproven, self.blocked, self.remark = unproven, blocked, remark


def judge(record: ProcessRecord, view: View, signs: Signs) -> Judged:
    """Is the run alive, ended, or can nobody say? Only its own word, or a silence that was long enough on a node that
    still answers, shows that it has ended."""
    if signs.over:
        return Judged()
    again = view.facts is not None and (view.facts.restarts or 0) > record.restarts
    if view.claim is Claim.WAITING and not again:
        return Judged(alive=True, waiting="" if signs.began else view.waiting)  # its own word is newer
    if view.claim is Claim.RUNNING and not again:
        return Judged(alive=True)
    if signs.final:
        return Judged()
    if not view.asked:
        return Judged(alive=True, remark=view.problem) if signs.fresh else Judged(unknown=view.problem)
    return _over_for_slurm(record, view, signs, again=again)


def _over_for_slurm(record: ProcessRecord, view: View, signs: Signs, *, again: bool) -> Judged:
    """As `judge`, of a run that is over by Slurm's word alone. `again`: its job was started again."""
    if view.never_began or not signs.began:
        return Judged()
    if signs.fresh:
        return Judged(alive=True, remark=tr("{claim}, but the trainer gives signs of life", claim=view.text))
    if signs.beat_s is not None and not view.has_lost_node and not again:
        return Judged() if signs.silent else Judged(unproven=describe(record, view, signs))
    return Judged(unproven=describe(record, view, signs), blocked=True)


def describe(record: ProcessRecord, view: View, signs: Signs) -> Message:
    """Who, where, since when: what is known of a run that nobody has seen end."""
    facts = view.facts
    parts: list[Message | str] = [tr("job {number}", number=record.pid)]
    if facts and facts.user:
        parts.append(tr("of user {user}", user=facts.user))
    if signs.host:
        parts.append(tr("on {host}", host=signs.host))
    known = tr("{job}, started {time}; {claim}", job=joined(" ", parts), time=record.started_at, claim=view.text)
    if signs.beat_s is None:
        return tr("{known}; it has given no sign of life", known=known)
    return tr("{known}; its last sign of life was {seconds:.0f} s ago", known=known, seconds=max(0.0, signs.beat_s))
