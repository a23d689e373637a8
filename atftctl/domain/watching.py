"""What a watcher sees each time it looks at the trainer."""

from __future__ import annotations

from atftctl.domain.diagnosis import Diagnosis
from atftctl.domain.facts import Process
from atftctl.domain.finding import Finding
from atftctl.domain.record import record


@record
class Look:
    """What one look of the watcher saw.

    now: in Unix seconds. sees: False where it is blind: nothing may be concluded or done then; blind: why. process: the
    recorded trainer. diagnosis: of everything that this generation wrote. active: the detectors whose alarm has not
    ended. findings: the alarms that began since the last look. generation, step: of the trainer; 0 where that is not
    known, and before its first row. evaluations: how many evaluations this generation has finished. config: the digest
    of its effective settings; "" where that is not known.
    """

    now: float
    sees: bool
    blind: str
    process: Process
    diagnosis: Diagnosis
    active: tuple[str, ...]
    findings: tuple[Finding, ...]
    generation: int
    step: int
    evaluations: int
    config: str
