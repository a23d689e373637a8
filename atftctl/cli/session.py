"""From the options of a change to the request that the verbs take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from atftctl.cli import progress, prompt
from atftctl.cli.options import Change
from atftctl.cli.render import result as render_result
from atftctl.domain.plan import Plan
from atftctl.operations.request import Confirm, Request, yes


class _Plans:
    """What is to be told of every plan of this process: `plan save` keeps it, `plan apply` compares it."""

    seen: Confirm = staticmethod(yes)


_plans = _Plans()


def tell(seen: Confirm) -> None:
    """Of every plan from now on."""
    _plans.seen = seen


@contextmanager
def request(change: Change) -> Iterator[Request]:
    """For the block; what is shown in place meanwhile goes when it ends."""
    teller = progress.Teller(quiet=change.json)

    def confirm(plan: Plan, diff: tuple[str, ...]) -> bool:
        teller.stop()
        if change.yes:
            if not change.json:
                with suppress(OSError):  # a plan that can't be printed must not stop a rescue
                    render_result.plan(plan, diff)
            return True
        return prompt.confirm(plan, diff)

    try:
        reason = change.reason.encode("utf-8", "replace").decode()  # bytes of another encoding came in as surrogates
        yield Request(reason, change.dry_run, change.or_undo, confirm, _plans.seen, teller)
    finally:
        teller.stop()
