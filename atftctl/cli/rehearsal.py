"""`--rehearse [STEPS]` and `--force REASON`: an option whose value may be missing, and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atftctl.operations.request import RehearseFirst

OPTION, DEFAULT, MOST = "--rehearse", 60, 1000
NUMBER = re.compile(r"-?\d+")


def with_value(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with a value for each --rehearse: the number after it, else the default. The parser knows no
    option whose value may be missing."""
    left, filled = list(arguments), list[str]()
    while left:
        argument = left.pop(0)
        if argument == "--":
            return [*filled, argument, *left]
        if argument == OPTION:
            argument = f"{OPTION}={left.pop(0) if left and NUMBER.fullmatch(left[0]) else DEFAULT}"
        filled.append(argument)
    return filled


def rehearse_first(steps: str, force: str) -> RehearseFirst | None:
    """What the options ask for; None where nothing is to be rehearsed. Raises UsageError."""
    from atftctl.domain.errors import UsageError
    from atftctl.operations.request import RehearseFirst
    from atftctl.protocol.messages import tr

    if force and not steps:
        raise UsageError(tr("--force needs --rehearse"), hint=tr("example: {option} 60", option=OPTION))
    if force and not force.strip():
        raise UsageError(tr("--force needs a reason"))
    if not steps:
        return None
    count = int(steps) if NUMBER.fullmatch(steps) and len(steps) < 10 else 0
    if not 1 <= count <= MOST:
        raise UsageError(
            tr("--rehearse: {steps!r} is not a number of steps from 1 to {most:,}", steps=steps, most=MOST),
            hint=tr("example: {option} 60", option=OPTION),
        )
    return RehearseFirst(count, force.strip())


def not_a_number(words: Sequence[str]) -> str:
    """What is wrong with words beside --rehearse, where the route takes no names."""
    from atftctl.protocol.messages import tr

    return tr(
        "{words}: --rehearse takes a number of steps from 1 to {most:,}; names of improvements need --feature, commits "
        "need --git",
        words=" ".join(words),
        most=MOST,
    )


def mistakes(route: str, rehearse: str, added: Sequence[str]) -> list[tuple[bool, str]]:
    """Why --rehearse and --with do not go with this route of `rollback`: (is that so?, message)."""
    from atftctl.protocol.messages import tr

    reasons = {
        "--staged": tr("it watches the trainer after each stage"),
        "--bisect": tr("it changes nothing"),
        "--git": tr("it changes code, and the code of a rehearsal is that of now"),
        "--full": tr("it changes code, and the code of a rehearsal is that of now"),
    }
    reason = reasons.get(route)
    text = tr("--rehearse can't be used with {route}: {reason}", route=route, reason=reason or "")
    return [
        (bool(rehearse and reason), text),
        (bool(added and reason), tr("--with can't be used with {route}", route=route)),
    ]


def refuse(steps: str, why: str) -> None:
    """Raises UsageError where --rehearse was given to something that can't be rehearsed."""
    from atftctl.domain.errors import UsageError
    from atftctl.protocol.messages import tr

    if steps:
        raise UsageError(
            tr("--rehearse can't be used here: {reason}", reason=why),
            state=tr("nothing was changed"),
            hint=tr("run this command without --rehearse"),
        )
