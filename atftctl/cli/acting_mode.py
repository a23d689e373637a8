"""How far a watcher may act, by its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atftctl.domain.acting import Mode


def mode_of(*, shadow: bool, auto: bool, trust_defaults: bool, act_again: bool) -> Mode:
    """The mode that the options name. Raises UsageError for options that can't be used together."""
    from atftctl.domain.errors import UsageError
    from atftctl.protocol.messages import tr

    if shadow and auto:
        raise UsageError(tr("--shadow and --auto can't be used together"), hint="atftctl watch --help")
    for option, given in (("--trust-defaults", trust_defaults), ("--act-again", act_again)):
        if given and not auto:
            raise UsageError(tr("{option} needs --auto", option=option), hint="atftctl watch --help")
    return "auto" if auto else "shadow" if shadow else "propose"
