"""`trainer check`: a line for each check, with its evidence and what to do."""

from __future__ import annotations

from atftctl.cli.render.checks import verdict
from atftctl.cli.render.console import say
from atftctl.cli.render.layout import display_width
from atftctl.cli.render.result import tone_of
from atftctl.cli.render.translation import localize
from atftctl.domain.result import Result
from atftctl.domain.text import listed
from atftctl.protocol.messages import tr

SHOWN = 6  # names of what the copies don't have; --json has all


def lines(result: Result) -> None:
    """The headline, and the lines; what is inconclusive says so in words, too."""
    from atftctl.operations.conformance.check import ConformanceData

    data = result.data
    assert isinstance(data, ConformanceData)
    say(result.headline, tone_of(result.exit_code))
    width = max(display_width(localize(check.title)) for check in data.checks)
    for check in data.checks:
        verdict(check.title, check.verdict, check.detail, check.hint, width)
    if data.left_out:
        say(
            tr(
                "not in the scratch copies: {names}; what the trainer reads of it: --link PATH",
                names=listed(data.left_out, SHOWN),
            ),
            "quiet",
        )
    if data.folder:
        say(tr("the scratch copies are kept in {folder}", folder=data.folder), "quiet")
