"""The checks of the checklist: their names, in the order of the guide's last list, and what each is measured by."""

from __future__ import annotations

from atftctl.domain.record import record
from atftctl.protocol.messages import Message, tr


@record
class CheckKind:
    """One check. `title`: for people. `part`: the part of the trainer's probe that measures it; "" for what is seen
    without a probe. `compares`: does it compare with the baseline? That is the guide's regression test. `cheap`: is it
    in the quick checklist, too?"""

    title: Message
    part: str = ""
    compares: bool = False
    cheap: bool = True


CHECKS = {
    "model": CheckKind(tr("model loads"), "model"),
    "dataset": CheckKind(tr("dataset loads"), "dataset"),
    "training": CheckKind(tr("training starts"), "training"),
    "quality": CheckKind(tr("quality"), "quality", compares=True),
    "errors": CheckKind(tr("error log clear")),
    "memory": CheckKind(tr("memory"), "training", compares=True),
    "service": CheckKind(tr("service stable")),
    "step-time": CheckKind(tr("step time"), "steps", compares=True, cheap=False),
}
PARTS = ("dataset", "model", "quality", "training", "steps")  # of the probe


def title_of(name: str) -> str:
    """The title of a check; its name where no check has this name."""
    return CHECKS[name].title if name in CHECKS else name


def parts_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of the probe that measure these checks, in the order of `PARTS`."""
    wanted = {CHECKS[name].part for name in names}
    return tuple(part for part in PARTS if part in wanted)
