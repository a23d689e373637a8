"""From evidence to a conclusion: the surest cause first, or healthy, or why it can't be told."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.decide.detectors import robust
from atftctl.decide.diagnosis import detected as metrics
from atftctl.decide.diagnosis import of_machine, of_process, of_quality, sight
from atftctl.domain.diagnosis import Confidence, Diagnosis, Evidence, Hypothesis, Observed
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.protocol.messages import Message, tr

LEVELS: tuple[Confidence, ...] = ("certain", "likely", "possible")


def judge(seen: Observed, found: metrics.Detected, matcher: Matcher, memory_limit_mb: int = 0) -> Diagnosis:
    """The conclusion from everything that was observed."""
    signs = [
        *of_process.evidence(seen, matcher),
        *of_quality.evidence(seen),
        *metrics.evidence(found, memory_limit_mb),
        *of_process.near_limit(seen, found.active, memory_limit_mb),
        *of_machine.of_logs(seen),
        *of_machine.of_kernel(seen),
        *of_machine.of_checkpoints(seen),
    ]
    hypotheses = tuple(ranked(signs))
    unknown = tuple(_unknown(seen, found, explained=bool(hypotheses)))
    notes = tuple(sign for sign in signs if sign.strength == "note")
    return Diagnosis(not hypotheses and not unknown, hypotheses, notes, unknown)


def ranked(signs: Sequence[Evidence]) -> list[Hypothesis]:
    """Each cause that something speaks for, the surest first; of equally sure ones that which came first."""
    causes = dict.fromkeys(sign.cause for sign in signs if sign.strength in ("proof", "strong", "weak"))
    made = []
    for cause in causes:
        about = [sign for sign in signs if sign.cause == cause]
        against = tuple(sign for sign in about if sign.strength == "against")
        own = tuple(sign for sign in about if sign.strength not in ("against", "note"))
        made.append(Hypothesis(cause, confidence(own), own, against))
    return sorted(made, key=_order)


def confidence(signs: Sequence[Evidence]) -> Confidence:
    """How sure a cause is: certain by a proof, or by strong signs of two kinds; likely by one strong sign."""
    strong = {sign.source for sign in signs if sign.strength == "strong"}
    if any(sign.strength == "proof" for sign in signs) or len(strong) > 1:
        return "certain"
    return "likely" if strong else "possible"


def _order(hypothesis: Hypothesis) -> tuple[int, int, float]:
    times = [sign.time for sign in hypothesis.evidence if sign.time is not None]
    return LEVELS.index(hypothesis.confidence), len(hypothesis.against), min(times, default=float("inf"))


def _unknown(seen: Observed, found: metrics.Detected, *, explained: bool) -> list[Message | str]:
    """Why it can't be said that nothing is wrong."""
    process = seen.process
    if process.state == "never started":
        return [tr("atftctl has not started a trainer here")]
    why = list[Message | str](seen.logs_unread)
    if seen.no_quality:
        why.append(seen.no_quality)
    if process.where:
        why.append(tr("the trainer was started on {host}; its state can't be seen from here", host=process.where))
    if process.state == "died" and not explained:
        why.append(tr("the trainer has died, and nothing that was seen says why"))
    elif (
        process.state != "died"
        and not process.where
        and not process.alive
        and not of_process.ended_as_asked(seen)
        and seen.wanted != "stopped"
    ):
        why.append(tr("the trainer does not run any more ({state})", state=STATE_TEXTS[process.state]))
    return why + _unknown_metrics(seen, found)


def _unknown_metrics(seen: Observed, found: metrics.Detected) -> list[Message | str]:
    """What is wrong with the metrics, or too few of them."""
    why = sight.unreliable(seen, found)
    return why if seen.rows.problem or not seen.rows.rows else why + _unknown_loss(seen, found)


def _unknown_loss(seen: Observed, found: metrics.Detected) -> list[Message | str]:
    rules = found.rules
    if not rules.loss:
        return [tr("the runbook names no column of the loss (metrics.loss)")]
    if found.ready.get("loss"):
        return []
    if rules.loss not in seen.rows.columns:
        return [tr("the metrics have no column {metric}", metric=rules.loss)]
    if any(row.values.get(rules.loss, 1.0) <= 0 for row in seen.rows.rows):
        return [tr("{metric} is not positive in all rows: it can't be compared by its logarithm", metric=rules.loss)]
    rows, needed = len(found.state.loss.window.values), robust.WARM_UP
    return [tr("{rows} rows with {metric} so far; {needed} are needed", rows=rows, metric=rules.loss, needed=needed)]
