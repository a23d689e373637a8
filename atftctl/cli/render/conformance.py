"""`trainer check`: a line for each check, with its evidence and what to do."""

from __future__ import annotations

from atftctl.cli.render.checks import VERDICTS
from atftctl.cli.render.console import mark_column, say
from atftctl.cli.render.layout import display_width, pad
from atftctl.cli.render.result import tone_of
from atftctl.cli.render.translation import localize
from atftctl.domain.result import Result
from atftctl.protocol.messages import tr


def lines(result: Result) -> None:
    """The headline, and the lines; what is inconclusive says so in words, too."""
    from atftctl.operations.conformance.check import ConformanceData

    data = result.data
    assert isinstance(data, ConformanceData)
    say(result.headline, tone_of(result.exit_code))
    width = max(display_width(localize(check.title)) for check in data.checks)
    for check in data.checks:
        mark, tone = VERDICTS[check.verdict]
        lead = f"{mark_column(mark)}{pad(localize(check.title), width)}  "
        detail = check.detail
        if check.verdict == "inconclusive":
            detail = tr("inconclusive: {detail}", detail=detail)
        say(detail, tone, lead=lead)
        if check.hint:
            say(tr("next: {hint}", hint=check.hint), lead=" " * display_width(lead))
    if data.folder:
        say(tr("the scratch copies are kept in {folder}", folder=data.folder), "quiet")
