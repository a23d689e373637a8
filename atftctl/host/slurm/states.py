"""What the states of Slurm claim about a job."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Claim(Enum):
    """What Slurm says of a job, in four words; never a proof.

    WAITING: it has no nodes (a process of an earlier start of the same job may still live on a node that was lost).
    RUNNING: it has nodes, and may run. ENDED: Slurm says that it is over. UNKNOWN: a state that we don't know.
    """

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"


WAITING = frozenset(("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"))
RUNNING = frozenset(  # REVOKED: another cluster of the federation has started it
    ("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT", "REVOKED")
)
ENDED = frozenset(
    ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY")
)
REMARKS = frozenset(("LAUNCH_FAILED", "UPDATE_DB", "POWER_UP_NODE", "RECONFIG_FAIL", "EXPEDITING"))  # say nothing alone


def claim_of(states: Iterable[str]) -> Claim:
    """What these words claim together: FAILED and COMPLETING is a job whose processes may still run."""
    words = set(states) - REMARKS
    if not words or words - WAITING - RUNNING - ENDED:
        return Claim.UNKNOWN
    if words & RUNNING:
        return Claim.RUNNING
    return Claim.WAITING if words & WAITING else Claim.ENDED


def words_of(value: object) -> tuple[str, ...]:
    """The words of a state, the main one first: "CANCELLED by 1000", "RUNNING,COMPLETING" or a list of words."""
    parts = value if isinstance(value, list) else str(value or "").split(" by ")[0].replace("+", ",").split(",")
    return tuple(word for part in parts if (word := str(part).strip().upper()))
